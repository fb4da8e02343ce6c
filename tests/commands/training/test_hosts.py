"""--hosts: two processes train the network that one would train; only the first writes.

They fine-tune it, one of them is terminated, and the same commands go on.
"""

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

import learn_classifier
import learn_image_embeddings
from tests.commands.running import TINY, Outcome, arrays, history, run, succeed
from tests.training.parallel.test_peers import environment, free_port

SCRIPT = Path(__file__).parents[1] / "one_host.py"
# 50 images in batches of 20 and 10; 896 test images in batches of 300 and 296. The clip is active.
COMMAND = (
    f"{TINY} --val_batch_size 300 --epochs 2 --clipgrad 0.5 --device_type cpu --finetune_init 1 "
    "--ema 0.5 --accumulate 2"
).split()
# The second epoch's second step, after three of the last layers and three of the first epoch.
TERMINATED_AT = 8
FILES = ("weight_dump.weights.h5", "history.csv", "feature_dump.npz")
LIMIT = 300  # seconds, on a busy machine


def start(folder: Path, *more: object, **variables: str) -> subprocess.Popen:
    folder.mkdir(exist_ok=True)
    outputs = [part for name in FILES for part in (f"--{name.split('.')[0]}", folder / name)]
    return subprocess.Popen(
        [sys.executable, SCRIPT, "learn_classifier", *COMMAND, *map(str, (*outputs, *more))],
        env=environment(KERAS_BACKEND="jax", **variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def start_both(root: Path, weights: Path, second: dict[str, str]) -> list[subprocess.Popen]:
    port = free_port()
    hosts = ("--hosts", 2, "--coordinator", f"127.0.0.1:{port}", "--finetune", weights)
    return [
        start(root / name, *hosts, "--snapshot", root / name / "s", "--host_rank", rank, **more)
        for rank, (name, more) in enumerate({"first": {}, "second": second}.items())
    ]


def outcomes(processes: list[subprocess.Popen]) -> list[Outcome]:
    try:
        texts = [process.communicate(timeout=LIMIT) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    return [Outcome(p.returncode, *text) for p, text in zip(processes, texts, strict=True)]


class Hosts(NamedTuple):
    """Folders of the processes, what both wrote when they were terminated, and all in the end."""

    alone: Path
    first: Path
    second: Path
    terminated: list[Outcome]
    finished: list[Outcome]


@pytest.fixture(scope="module")
def hosts(tmp_path_factory):
    if not importlib.util.find_spec("jax"):
        pytest.skip("several machines need JAX, which is not installed")
    root = tmp_path_factory.mktemp("hosts")
    weights = root / "weights.h5"
    onehot = f"{TINY} --embedding onehot --epochs 1 --weight_dump"
    succeed(learn_image_embeddings, onehot, weights)
    terminated = outcomes(start_both(root, weights, {"TERMINATE_AT": str(TERMINATED_AT)}))
    alone = start(root / "alone", "--finetune", weights)
    finished = outcomes([alone, *start_both(root, weights, {})])
    for outcome in finished:
        assert outcome.status == 0, outcome.err
    return Hosts(root / "alone", root / "first", root / "second", terminated, finished)


def test_a_signal_to_one_ends_both_after_the_same_step(hosts):
    done = (
        f"{hosts.first / 's'} has the run up to epoch 1, step 2; repeat the commands on all hosts"
    )
    for outcome, hint in zip(hosts.terminated, (done, "the first host has the"), strict=True):
        assert outcome.status == 143
        assert outcome.err.splitlines()[-1].startswith(f"learn_classifier.py: terminated; {hint}")
    assert "after epoch 1, step 2" in hosts.finished[1].err


def test_weights_are_those_of_one_process(hosts):
    alone, first = (arrays(folder / FILES[0]) for folder in hosts[:2])
    assert alone.keys() == first.keys()
    for name, expected in alone.items():
        np.testing.assert_allclose(first[name], expected, rtol=0, atol=1e-6, err_msg=name)


def test_metrics_are_those_of_one_process(hosts):
    alone, first = (history(folder / FILES[1]) for folder in hosts[:2])
    assert len(first) == 2
    for row, expected in zip(first, alone, strict=True):
        assert row == pytest.approx(expected, abs=2e-6)


def test_every_test_image_counts_once(hosts):
    alone, first = (np.load(folder / FILES[2]) for folder in hosts[:2])
    assert first["features"].shape[0] == 896
    np.testing.assert_array_equal(first["names"], alone["names"])
    np.testing.assert_allclose(first["features"], alone["features"], rtol=0, atol=1e-5)


def test_only_the_first_one_writes_and_reports(hosts):
    assert {*FILES} < {path.name for path in hosts.first.iterdir()}
    assert list(hosts.second.iterdir()) == []
    alone, first, second = hosts.finished
    assert (second.out, second.err) == ("", "")
    # What was told up to the signal and after it is what one process tells.
    assert alone.out == hosts.terminated[0].out + first.out


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ("--hosts 2", "--host_rank and --coordinator"),
        ("--hosts 2 --host_rank 0", "needs --coordinator"),
        (
            "--hosts 2 --host_rank 2 --coordinator a:1",
            "--host_rank 2: the ranks of 2 hosts are 0 to 1",
        ),
        ("--hosts 2 --host_rank 0 --coordinator a", "'a' is not of the form HOST:PORT"),
        ("--host_rank 0", "--host_rank and --coordinator need --hosts"),
        ("--coordinator a:1", "--host_rank and --coordinator need --hosts"),
        ("--slurm --hosts 2", "--slurm: leave out --hosts"),
        ("--slurm", "start the command with srun"),
    ],
)
def test_wrong_host_options_give_a_one_line_error(options, named, monkeypatch):
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
