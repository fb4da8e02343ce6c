"""--steps_per_execution: the same training, also where an epoch ends within a group."""

import keras
import numpy as np
import pytest

import learn_classifier
from tests.commands.running import TINY, arrays, history, succeed

# Three steps per epoch, the last of half a batch: groups of two and one, or all at once.
COMMAND = f"{TINY} --epochs 3 --weight_dump w.h5 --history h.csv"
SCHEDULES = ("--sgdr_base_len 3", "--lr_schedule Cosine")  # by epoch, by step


def train(folder, options):
    """The weights and the figures of every epoch."""
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        succeed(learn_classifier, f"{COMMAND} {options}")
    return arrays(folder / "w.h5"), history(folder / "h.csv")


@pytest.fixture(scope="module", params=SCHEDULES)
def one_by_one(request, tmp_path_factory):
    return request.param, *train(tmp_path_factory.mktemp("runs") / "1", request.param)


@pytest.mark.parametrize("steps", [2, 5])
def test_weights_and_metrics_are_those_of_single_steps(one_by_one, tmp_path, steps):
    schedule, single, expected_figures = one_by_one
    weights, figures = train(tmp_path / "n", f"{schedule} --steps_per_execution {steps}")
    assert weights.keys() == single.keys()
    for name, expected in single.items():
        np.testing.assert_allclose(weights[name], expected, rtol=1e-5, atol=1e-6, err_msg=name)
    for row, expected in zip(figures, expected_figures, strict=True):
        assert row == pytest.approx(expected, rel=1e-5)
    assert len({row["lr"] for row in figures}) == 3


def test_the_option_reaches_compile(monkeypatch, tmp_path):
    seen = []
    compile_ = keras.Model.compile

    def watched(self, *args, **options):
        seen.append(options["steps_per_execution"])
        compile_(self, *args, **options)

    monkeypatch.setattr(keras.Model, "compile", watched)
    train(tmp_path / "n", "--steps_per_execution 4 --epochs 1")
    assert seen == [4]
