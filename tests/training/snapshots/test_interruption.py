"""Signals during a training run, and resuming in the middle of an epoch."""

import contextlib
import functools
import importlib.util
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import h5py
import keras
import pytest

import learn_classifier
import learn_image_embeddings
from tests.commands.running import TINY, run, same_arrays, succeed
from training.callbacks.epoch_log import EpochReporter, FirstStep
from training.snapshots.callback import Snapshot
from training.snapshots.interruption import Interruption
from utils import Interrupted, handling

ONE_HOST = Path(__file__).parents[2] / "commands" / "one_host.py"
RUN = (
    f"{TINY} --embedding onehot --cls_weight 0.1 --sgdr_base_len 2 --epochs 3 --max_decay 0.1 "
    "--top_k_acc 2 --snapshot s.h5 --weight_dump w.h5 --history h.csv"
)
"""Three epochs of three steps: restarts, decay, momentum, augmentation, two heads."""

CLR = f"{RUN} --lr_schedule CLR --clr_step_len 1"
PASSES = CLR.replace("--repeats 1", "--repeats 2")
ADAM = (
    f"{RUN.replace(' --max_decay 0.1', '')} --lr_schedule Cosine --cosine_max_lr 0.01 "
    "--cosine_warmup 1 --optimizer adamw --weight_decay 0.01 --ema 0.9 --accumulate 2 "
    "--oversample --folds 5 --fold 1 --early_stopping 2"
)
SGD = f"{RUN} --lr_schedule SGD --sgd_patience 1 --log_dir log"

MIXED = (
    f"{RUN} --randaugment 2 9 --crop_scale 0.5 1 --color_jitter --vflip --erasing 0.5 --cutmix 1 "
    "--cutmix_prob 0.7 --mixed_targets normalized"
)


def state(path="s.h5") -> dict:
    with h5py.File(path) as file:
        return json.loads(file["run_state"][()])


def signal_at(patch, epoch: int, step: int, *numbers: int) -> None:
    """Send the process signals at the end of a step, counted from 1."""
    whole = Snapshot.on_train_batch_end

    def batch_end(self, batch, logs=None):
        first = self.start.step if self.state.epoch == self.start.epoch else 0
        if (self.state.epoch, first + batch + 1) == (epoch, step):
            for number in numbers:
                os.kill(os.getpid(), number)
        whole(self, batch, logs)

    patch.setattr(Snapshot, "on_train_batch_end", batch_end)


@pytest.fixture(autouse=True)
def sigint():
    """Restore the default handler of SIGINT, which shells ignore for background processes."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """Return the folder of the whole run of a command, which is run once."""

    @functools.cache
    def folder_of(command: str) -> Path:
        folder = tmp_path_factory.mktemp("whole")
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            succeed(learn_image_embeddings, command)
        return folder

    return folder_of


def test_a_signal_to_any_process_ends_this_one():
    Interruption(lambda own: max(own, 0)).check()
    with pytest.raises(Interrupted) as ended:
        Interruption(lambda own: max(own, signal.SIGTERM)).check()
    assert ended.value.status == 143


def test_a_signal_after_the_last_check_is_obeyed_too():
    def ended(number, frame):
        raise Interrupted(number)

    interruption = Interruption()
    with (
        pytest.raises(Interrupted),
        handling(signal.SIGTERM, ended),
        interruption.deferred(),
    ):
        interruption.check()
        os.kill(os.getpid(), signal.SIGTERM)
    assert interruption.number == signal.SIGTERM


def check_same(folder, expected):
    for name in ("w.h5", "s.h5"):
        assert same_arrays(folder / name, expected / name)
    assert (folder / "h.csv").read_text() == (expected / "h.csv").read_text()


@pytest.mark.parametrize(
    ("command", "number", "status", "epoch", "step"),
    [
        (RUN, signal.SIGTERM, 143, 0, 1),
        (RUN, signal.SIGINT, 130, 1, 2),
        (RUN, signal.SIGTERM, 143, 2, 3),  # all steps of the last epoch are done
        (CLR, signal.SIGINT, 130, 1, 1),
        (CLR, signal.SIGINT, 130, 0, 3),
        (PASSES, signal.SIGTERM, 143, 1, 4),  # within the second of two passes
        (ADAM, signal.SIGTERM, 143, 1, 1),  # between the two batches of a step
        (SGD, signal.SIGTERM, 143, 1, 3),
        (MIXED, signal.SIGTERM, 143, 1, 2),
    ],
)
def test_a_signal_ends_the_step_and_the_same_command_resumes_exactly(
    tmp_path, monkeypatch, uninterrupted, command, number, status, epoch, step
):
    monkeypatch.chdir(tmp_path)
    handlers = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    with monkeypatch.context() as patch:
        signal_at(patch, epoch, step, number)
        outcome = run(learn_image_embeddings, command)
    assert outcome.status == status
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == handlers
    word = {130: "interrupted", 143: "terminated"}[status]
    assert outcome.err.splitlines()[-1] == (
        f"learn_image_embeddings.py: {word}; s.h5 has the run up to epoch {epoch}, step {step}; "
        "repeat the command to resume"
    )
    assert (state()["epoch"], state()["step"]) == (epoch, step)
    assert not os.path.exists(".s.h5.lock") and not os.path.exists("w.h5")
    if command == ADAM:  # every rate depends on the number of epochs
        longer = run(learn_image_embeddings, command.replace("--epochs 3", "--epochs 4"))
        assert longer.status == 1 and "epochs '3' instead of '4'" in longer.err
    outcome = succeed(learn_image_embeddings, f"{command} --read_workers 1")
    assert f"Resuming from s.h5 after epoch {epoch}, step {step}\n" in outcome.err
    check_same(tmp_path, uninterrupted(command))


@pytest.mark.skipif(not importlib.util.find_spec("jax"), reason="JAX is not installed")
def test_jax_resumes_after_the_last_step_of_an_epoch(tmp_path):
    def learn(folder, status, **environment):
        folder.mkdir(exist_ok=True)
        environment |= os.environ | {"KERAS_BACKEND": "jax"}
        command = [sys.executable, ONE_HOST, "learn_image_embeddings", *RUN.split()]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
        assert done.returncode == status, done.stderr

    whole, ended = tmp_path / "whole", tmp_path / "ended"
    learn(whole, 0)
    learn(ended, 143, TERMINATE_AT="6")
    assert (state(ended / "s.h5")["epoch"], state(ended / "s.h5")["step"]) == (1, 3)
    learn(ended, 0)
    check_same(ended, whole)


def test_resuming_after_every_step(tmp_path, monkeypatch, uninterrupted):
    """Every run makes one step, but for those that validate."""
    monkeypatch.chdir(tmp_path)
    places = [(epoch, step) for epoch in range(3) for step in (1, 2, 3)]
    for place in places[::2]:
        with monkeypatch.context() as patch:
            signal_at(patch, *place, signal.SIGTERM)
            assert run(learn_image_embeddings, RUN).status == 143
        assert (state()["epoch"], state()["step"]) == place
    succeed(learn_image_embeddings, RUN)
    check_same(tmp_path, uninterrupted(RUN))


def test_validation_is_cut_short_and_done_again(tmp_path, monkeypatch, uninterrupted):
    monkeypatch.chdir(tmp_path)
    command = RUN.replace("448", "100")
    seen = []
    whole = keras.Model.predict_on_batch

    def predict(self, images):
        seen.append(len(images))
        if len(seen) == 12:  # the third of nine in the second epoch
            os.kill(os.getpid(), signal.SIGTERM)
        return whole(self, images)

    with monkeypatch.context() as patch:
        patch.setattr(keras.Model, "predict_on_batch", predict)
        assert run(learn_image_embeddings, command).status == 143
    assert (state()["epoch"], state()["step"], len(seen)) == (1, 3, 12)
    succeed(learn_image_embeddings, command)
    assert same_arrays(tmp_path / "w.h5", uninterrupted(RUN) / "w.h5")


def test_interruption_without_a_snapshot_reports_the_loss(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        EpochReporter, "on_epoch_end", lambda *_: os.kill(os.getpid(), signal.SIGTERM)
    )
    outcome = run(learn_classifier, f"{TINY} --epochs 2")
    assert outcome.status == 143 and outcome.out == ""
    last = outcome.err.splitlines()[-1]
    assert last.startswith("learn_classifier.py: terminated; ") and "--snapshot FILE" in last


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_that_keras_passes_over_ends_the_run_after_the_step(
    tmp_path, monkeypatch, number, status
):
    steps = []

    def pass_over(self, batch, logs=None):
        steps.append(batch)
        with contextlib.suppress(BaseException):
            os.kill(os.getpid(), number)
            signal.pthread_sigmask(signal.SIG_BLOCK, ())  # has Python look for signals

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(FirstStep, "on_train_batch_end", pass_over)
    outcome = run(learn_classifier, f"{TINY} --epochs 2")
    assert outcome.status == status and steps == [0]


def test_the_best_epoch_is_kept_after_a_signal(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    signal_at(monkeypatch, 1, 2, signal.SIGTERM)
    options = "--epochs 3 --snapshot s.h5 --snapshot_best val_acc"
    outcome = run(learn_classifier, f"{TINY} {options}")
    assert outcome.status == 143
    assert "s.h5 has the run up to epoch 1;" in outcome.err.splitlines()[-1]
    assert (state()["epoch"], state()["step"]) == (1, 0)


def test_training_of_new_layers_resumes_exactly(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    succeed(learn_image_embeddings, f"{TINY} --epochs 1 --embedding onehot --weight_dump p.h5")
    command = f"{TINY} --finetune p.h5 --finetune_init 2 --sgd_lr 0.01 --epochs 2"
    succeed(learn_classifier, f"{command} --weight_dump whole.h5")
    command += " --weight_dump w.h5 --snapshot s.h5 --history h.csv"
    for place in ((1, 1), (1, 2)):
        with monkeypatch.context() as patch:
            signal_at(patch, *place, signal.SIGTERM)
            outcome = run(learn_classifier, command)
        assert outcome.status == 143
        step = f"epoch {place[0]}, step {place[1]} of the last layers"
        assert step in outcome.err.splitlines()[-1] and not os.path.exists("h.csv")
    signal_at(monkeypatch, 0, 1, signal.SIGTERM)
    outcome = run(learn_classifier, command)
    assert outcome.status == 143 and "Last layers, epoch 2/2" in outcome.out
    assert (state()["phase"], state()["step"]) == ("all layers", 1)
    outcome = succeed(learn_classifier, command)
    assert "Last layers" not in outcome.out
    assert same_arrays(tmp_path / "w.h5", tmp_path / "whole.h5")
