"""The benchmark of a GPU: speeds, reasons for what is left out, and the limit of time."""

import math
import time
from pathlib import Path

import pytest

from benchmarks import gpu
from benchmarks.gpu import JAX, PYTORCH, Clock

CLOCK = Clock(10)
SECONDS = {"jax": [1.0, 2.0, 3.0], None: [2.0, 2.0, 2.0]}


class FakeWorker:
    """Process that takes a given time, or ends."""

    seconds = SECONDS
    broken = ()

    def __init__(self, settings, contestant, python, environment):
        assert environment["XLA_PYTHON_CLIENT_PREALLOCATE"] == "false"
        self.backend, self.settings, self.turns = contestant.backend, settings, []

    def begin(self):
        if self.backend in self.broken:
            raise EOFError("the process ended with status 1")
        self.started = {"first_step": 9.0, "versions": {}}

    def train(self, steps):
        wall = steps * self.seconds[self.backend][len(self.turns)]
        if not math.isfinite(wall):
            raise EOFError("the process ended with status -9")
        self.turns.append({"wall": wall})

    def last_words(self):
        return "No module named 'torch'"

    def close(self):
        pass


@pytest.fixture
def size(monkeypatch):
    monkeypatch.setattr(gpu, "Worker", FakeWorker)
    case = gpu.Case("net", 32, 8)
    return gpu.Size((case,), "bfloat16", "", "--options", rounds=3, steps=5)


def test_speed_and_its_ratio_within_rounds(size):
    found = gpu.steps(size, None, CLOCK)["net"]
    assert found[JAX]["seconds_per_step"] == [1, 2, 3]
    assert found[JAX]["images_per_second"] == 8 / 2
    assert found[JAX]["to_pytorch"] == 1  # of 2 / 1, 2 / 2, 2 / 3
    assert found[JAX]["first_step_seconds"] == 9


def test_missing_measurements_have_a_reason(size, monkeypatch):
    monkeypatch.setattr(FakeWorker, "broken", (None,))
    found = gpu.steps(size, None, CLOCK)["net"]
    reason = "the process ended with status 1: No module named 'torch'"
    assert found[PYTORCH] == {"left_out": reason}
    assert found[JAX]["images_per_second"] == 4 and "to_pytorch" not in found[JAX]
    # Later, too.
    monkeypatch.setattr(FakeWorker, "broken", ())
    monkeypatch.setattr(FakeWorker, "seconds", {"jax": [1, math.inf, 1], None: [2, 2, 2]})
    found = gpu.steps(size, None, CLOCK)["net"]
    assert found[JAX]["left_out"].startswith("the process ended with status -9")
    assert found[PYTORCH]["images_per_second"] == 4


def test_scripts_end_in_time(tmp_path):
    script = tmp_path / "script.py"
    script.write_text("import sys\nprint('one\\nlast', file=sys.stderr)\nsys.exit(3)")
    assert gpu.run_for([str(script)], 60) == "exit status 3: last"
    script.write_text("import time\ntime.sleep(60)")
    start = time.monotonic()
    assert gpu.run_for([str(script)], 0.5) == "ended after 0 s"
    assert time.monotonic() - start < 30
    script.write_text("")
    assert gpu.run_for([str(script)], 60) is None
    assert gpu.run_for([str(script)], 0) == "no time left"


def test_the_epochs_of_a_training_that_was_ended_count(size, monkeypatch):
    def run_for(command, seconds):
        assert "--options" in command and seconds > 0
        history = Path(command[command.index("--history") + 1])
        history.write_text("epoch,val_acc,val_prob_acc\n1,0.9,0.2\n2,0.8,0.5\n3,0.7,0.4\n")
        return "ended after 60 s"

    monkeypatch.setattr(gpu, "run_for", run_for)
    found = gpu.training(size, [], CLOCK)
    assert found["epochs"] == 3 and found["ended"] == "ended after 60 s"
    assert (found["best_accuracy"], found["best_epoch"]) == (0.5, 2)
    monkeypatch.setattr(gpu, "run_for", lambda command, seconds: "exit status 2: no CIFAR-100")
    assert gpu.training(size, [], CLOCK) == {"left_out": "exit status 2: no CIFAR-100"}


def test_idle_time_is_the_time_beyond_the_steps(size, monkeypatch):
    def run_for(command, seconds):
        output = Path(command[command.index("--output") + 1])
        output.write_text('{"shares": [0.9, 0.5, 0.8], "seconds": {}}')

    monkeypatch.setattr(gpu, "run_for", run_for)
    assert gpu.epochs(size, [], CLOCK)["idle_share"] == pytest.approx(0.2)
