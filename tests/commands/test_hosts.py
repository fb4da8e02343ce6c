"""Two processes train the network that one would train, and only the first one writes."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import learn_classifier
from tests.commands.running import TINY, arrays, history, run
from tests.training.test_peers import environment, free_port

SCRIPT = Path(__file__).with_name("one_host.py")
# 50 images in batches of 20 and 10; 896 test images in batches of 300 and 296. The clip is active.
COMMAND = f"{TINY} --val_batch_size 300 --epochs 2 --clipgrad 0.5 --device_type cpu".split()
FILES = ("weight_dump.weights.h5", "history.csv", "feature_dump.npz")
LIMIT = 300  # seconds, on a busy machine


def start(folder: Path, *more: object) -> subprocess.Popen:
    folder.mkdir()
    outputs = [part for name in FILES for part in (f"--{name.split('.')[0]}", folder / name)]
    return subprocess.Popen(
        [sys.executable, SCRIPT, "learn_classifier", *COMMAND, *map(str, (*outputs, *more))],
        env=environment(KERAS_BACKEND="jax"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """What one process left, and what each of two did; and what the latter wrote."""
    if not importlib.util.find_spec("jax"):
        pytest.skip("several machines need JAX, which is not installed")
    root = tmp_path_factory.mktemp("hosts")
    hosts = ("--hosts", 2, "--coordinator", f"127.0.0.1:{free_port()}")
    processes = [
        start(root / "alone"),
        start(root / "first", *hosts, "--host_rank", 0),
        start(root / "second", *hosts, "--host_rank", 1),
    ]
    try:
        texts = [process.communicate(timeout=LIMIT) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    for process, (_, err) in zip(processes, texts, strict=True):
        assert process.returncode == 0, err
    return root / "alone", root / "first", root / "second", texts


def test_weights_are_those_of_one_process(folders):
    alone, first, *_ = (arrays(folder / FILES[0]) for folder in folders[:2])
    assert alone.keys() == first.keys()
    for name, expected in alone.items():
        np.testing.assert_allclose(first[name], expected, rtol=0, atol=1e-6, err_msg=name)


def test_figures_are_those_of_one_process(folders):
    alone, first = (history(folder / FILES[1]) for folder in folders[:2])
    assert len(first) == 2
    for row, expected in zip(first, alone, strict=True):
        assert row == pytest.approx(expected, abs=2e-6)


def test_every_test_image_counts_once(folders):
    alone, first = (np.load(folder / FILES[2]) for folder in folders[:2])
    assert first["features"].shape[0] == 896
    np.testing.assert_array_equal(first["names"], alone["names"])
    np.testing.assert_allclose(first["features"], alone["features"], rtol=0, atol=1e-5)


def test_only_the_first_one_writes_and_reports(folders):
    _, first, second, ((alone_out, _), (first_out, _), second_texts) = folders
    assert {*FILES} < {path.name for path in first.iterdir()}
    assert list(second.iterdir()) == []
    assert second_texts == ("", "")
    assert first_out == alone_out


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ("--hosts 2", "--host_rank and --coordinator"),
        ("--hosts 2 --host_rank 0", "needs --coordinator"),
        ("--hosts 2 --host_rank 2 --coordinator a:1", "--host_rank 2: the 2 hosts are 0 to 1"),
        ("--hosts 2 --host_rank 0 --coordinator a", "'a' is not of the form HOST:PORT"),
        ("--slurm --hosts 2", "--slurm: leave out --hosts"),
        ("--slurm", "start it by srun"),
    ],
)
def test_what_is_wrong_about_hosts_is_said(options, named, monkeypatch):
    monkeypatch.delenv("SLURM_PROCID", raising=False)
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    outcome = run(learn_classifier, f"{TINY} --epochs 1 {options}")
    assert outcome.status == 2
    assert named in outcome.err
    assert outcome.err.count("\n") == 1


def test_tensorflow_is_refused(monkeypatch):
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")  # the test's own streams stay as they are
    options = f"{TINY} --epochs 1 --hosts 2 --host_rank 0 --coordinator 127.0.0.1:5000"
    outcome = run(learn_classifier, options)
    assert outcome.status == 2
    assert "KERAS_BACKEND=jax" in outcome.err
    assert "keras-team/keras#20585" in outcome.err
    assert outcome.err.count("\n") == 1
