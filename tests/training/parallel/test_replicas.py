"""Several replicas train like one device; on CPU devices, in a process for each backend."""

import contextlib
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import learn_classifier
from datasets import get_dataset
from tests.commands.running import arrays, history, record, run, same_arrays
from tests.training.test_optimizer import numpy_optimizer, numpy_steps
from training.parallel import backend, devices, replicas
from training.parallel.group import Group
from utils import UsageError

ROOT = Path(__file__).parents[3]
INSTALLED = [name for name in ("tensorflow", "jax") if importlib.util.find_spec(name)]
LIMIT = 600  # seconds, on a busy machine


@pytest.fixture(scope="module")
def workers(tmp_path_factory):
    """``replicas_worker`` under each backend at the same time; by name, with their folders."""
    root = tmp_path_factory.mktemp("replicas")
    with contextlib.ExitStack() as stack:
        yield {name: start_worker(name, root / name, stack) for name in INSTALLED}


def start_worker(backend: str, folder: Path, stack: contextlib.ExitStack) -> tuple:
    folder.mkdir()
    with open(folder.with_suffix(".txt"), "wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.training.parallel.replicas_worker", folder],
            cwd=ROOT,
            env=os.environ | {"KERAS_BACKEND": backend, "CUDA_VISIBLE_DEVICES": ""},
            stdout=output,
            stderr=output,
        )
    stack.callback(process.wait)
    stack.callback(process.kill)
    return process, folder


@pytest.fixture(scope="module", params=INSTALLED)
def trained(request, workers) -> Path:
    """The folder that ``replicas_worker`` filled under a backend of this name."""
    process, folder = workers[request.param]
    assert process.wait(LIMIT) == 0, folder.with_suffix(".txt").read_text()
    return folder


@pytest.fixture
def facts(trained) -> dict:
    return json.loads((trained / "facts.json").read_text())


@pytest.fixture
def tensorflow_only(trained) -> None:
    if trained.name != "tensorflow":
        pytest.skip("concerns TensorFlow, or is tried under one backend to save time")


def largest_difference(folder: Path, one: str, other: str) -> float:
    ours, theirs = arrays(folder / f"{one}.h5"), arrays(folder / f"{other}.h5")
    assert ours and ours.keys() == theirs.keys()
    return max(float(np.abs(ours[name] - theirs[name]).max()) for name in ours)


@pytest.mark.parametrize("merge", ["", "-merged"])
@pytest.mark.parametrize("number", [2, 4])
def test_replicas_give_the_weights_and_metrics_of_one_device(trained, number, merge):
    """Train on 15 images in batches of four, the last of which is filled up."""
    if trained.name == "jax" and not merge:
        pytest.skip("JAX merges in one way only")
    name = f"{number}{merge}"
    assert record(trained / f"{name}.csv")["options"]["gpus"] == number
    assert largest_difference(trained, name, "one") <= 1e-6
    ours, theirs = history(trained / f"{name}.csv"), history(trained / "one.csv")
    assert len(ours) == len(theirs) == 5
    for one, other in zip(ours, theirs, strict=True):
        assert one == pytest.approx(other, rel=1e-6, abs=1e-6)


def test_the_clip_was_active(tensorflow_only, trained):
    """Compare the first epoch with that of a run without the clip."""
    clipped, free = (history(trained / f"{name}.csv")[0] for name in ("one", "one-unclipped"))
    assert abs(clipped["loss"] - free["loss"]) > 1e-3


@pytest.mark.parametrize("number", [2, 4])
@pytest.mark.parametrize("size", range(1, 10))
def test_every_test_image_counts_once(facts, number, size):
    found = {(f["replicas"], f["size"]): f for f in facts["evaluated"]}
    one, several = found[1, size], found[number, size]
    assert several["metrics"] == pytest.approx(one["metrics"], rel=1e-6, abs=1e-7)
    assert np.shape(several["features"]) == (size, 3)
    np.testing.assert_allclose(several["features"], one["features"], rtol=1e-5)


def test_moving_statistics(trained, facts):
    """Average the statistics of the shares under TensorFlow; use the whole batch under JAX."""
    images = np.array(facts["statistics"]["images"])
    shares = images.reshape(2 if trained.name == "tensorflow" else 1, -1, 3)
    count = shares.shape[1]
    mean, variance = shares.mean(axis=1), shares.var(axis=1)
    unbiased = variance * count / (count - 1) if trained.name == "tensorflow" else variance
    expected = 0.01 * mean.mean(axis=0), 0.99 + 0.01 * unbiased.mean(axis=0)
    np.testing.assert_allclose(facts["statistics"]["moving"], expected, rtol=1e-5)
    start = np.float64([[0], [1]])
    average = start + 9 / 11 * (np.array(expected) - start)  # after the first step
    np.testing.assert_allclose(facts["statistics"]["averaged"], average, rtol=1e-5)
    normalized = (shares - mean[:, None]) / np.sqrt(variance[:, None] + 1e-3)
    assert facts["statistics"]["loss"] == pytest.approx((normalized**3).mean(), rel=1e-4)


def test_the_sum_of_the_gradients_is_clipped(tensorflow_only, facts):
    assert len(facts["steps"]) == 3
    for case in facts["steps"]:
        clip, nesterov, decay = case["options"]
        gradients = [[np.array(g)] for g in case["gradients"]]
        (expected,) = numpy_steps([np.ones(3)], gradients, 0.05, clip, nesterov, decay)
        one, other = case["weights"]
        assert one == other and case["steps"] == 4
        np.testing.assert_allclose(one, expected, atol=1e-6)


def test_the_sum_of_the_gradients_is_accumulated(tensorflow_only, facts):
    assert len(facts["accumulated"]) == 3
    for case in facts["accumulated"]:
        means = np.reshape(case["gradients"], (2, 2, 3)).mean(axis=1)
        expected = numpy_optimizer(case["name"], np.ones(3), means, 0.05, 1.0, 0.3)
        one, other = case["weights"]
        assert one == other
        np.testing.assert_allclose(one, expected, atol=1e-6)


def test_all_replicas_skip_a_step_with_an_overflow(tensorflow_only, facts):
    overflow = facts["overflow"]
    assert overflow["skipped"] == [[1, 1, 1]] * 2 and overflow["scale"] == 2**14
    # The unscaled gradients, 1 and 2, have the sum 3.
    assert overflow["stepped"] == [[pytest.approx(1 - 0.5 * 3)] * 3] * 2


def test_the_same_command_trains_the_same_network(tensorflow_only, trained):
    assert same_arrays(trained / "first.h5", trained / "second.h5")
    assert same_arrays(trained / "first.snapshot", trained / "second.snapshot")


@pytest.mark.parametrize("number", [1, 4])
def test_a_snapshot_resumes_with_another_number_of_replicas(tensorflow_only, trained, number):
    name = f"resumed-{number}"
    before, after = history(trained / "first.csv"), history(trained / f"{name}.csv")
    assert [row["epoch"] for row in after] == [1, 2, 3] and after[:2] == before
    assert 0 < largest_difference(trained, name, "first") < 1


@pytest.mark.parametrize("name", ["first", "fine"])
def test_the_saved_model_is_a_plain_one(trained, name):
    model = keras.models.load_model(trained / f"{name}.keras", compile=False)
    kinds = {type(layer).__module__.partition(".")[0] for layer in model.layers}
    assert kinds == {"keras"}
    final = record(trained / f"{name}.keras")["final"]
    test = get_dataset("Digits-sub5").test
    prepared = np.stack(list(test)).astype("float32")
    *_, probabilities = (
        [model.predict(prepared, verbose=0)]
        if name == "fine"
        else model.predict(prepared, verbose=0)
    )
    accuracy = np.mean(probabilities.argmax(axis=1) == test.labels)
    reported = final["acc" if name == "fine" else "prob_acc"]
    # In half precision, an image or two of 896 may fall to the other side.
    assert accuracy == pytest.approx(reported, abs=3 / 896)


def test_fine_tuning_in_half_precision(trained):
    assert [row["epoch"] for row in history(trained / "finetuned.csv")] == [1, 2, 3]
    assert all(np.isfinite(list(r.values())).all() for r in history(trained / "finetuned.csv"))


def test_batches_that_cannot_be_shared_are_refused():
    group = Group(replicas=4)
    group.check_batch_size(96)
    for size, advice in ((50, "give 48 or 52"), (3, "give 4")):
        with pytest.raises(UsageError, match=f"--batch_size {size}: .* 4 replicas; {advice}$"):
            group.check_batch_size(size)
    assert [group.rounded_up(n) for n in (1, 4, 5)] == [4, 4, 8]


def test_xla_is_left_out_or_refused_where_it_cannot_compile(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "tensorflow")
    monkeypatch.setattr(replicas, "several", lambda: True)
    assert not backend.jit_compile("auto") and not backend.jit_compile("off")
    with pytest.raises(UsageError, match="--jit on: "):
        backend.jit_compile("on")


def test_several_replicas_of_pytorch_are_refused(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "torch")
    with (
        pytest.raises(UsageError, match="--gpus 2: needs the TensorFlow or JAX backend"),
        replicas.joined("cpu", 2),
    ):
        pass


def test_cpu_devices_are_as_many_as_the_backend_started_with():
    """Refuse more: only the first command of a process can create devices."""
    present = devices.count("cpu")
    outcome = run(learn_classifier, "--dataset Digits --gpus 64 --device_type cpu")
    assert outcome.status == 2 and outcome.out == ""
    last = outcome.err.splitlines()[-1]
    assert f"--gpus 64: this machine has {present} CPU" in last
    assert devices.count("cpu") == present
