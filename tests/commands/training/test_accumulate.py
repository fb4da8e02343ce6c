"""--accumulate: batches whose gradients make one step, in whole runs."""

import numpy as np
import pytest

import learn_classifier
from tests.commands.running import TINY, arrays, history, succeed

# 50 images without batch normalization; the clip is active.
COMMAND = (
    f"{TINY.replace('tiny', 'tiny-linear')} --epochs 3 --lr_schedule Cosine --cosine_warmup 1 "
    "--max_decay 0.5 --clipgrad 0.5 --history h.csv --weight_dump w.h5"
)


def test_two_batches_are_one_of_twice_the_size(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = []
    for more in ("--batch_size 50", "--batch_size 25 --accumulate 2"):
        succeed(learn_classifier, f"{COMMAND} {more} --overwrite")
        found.append((arrays(tmp_path / "w.h5"), history(tmp_path / "h.csv")))
    (weights, epochs), (others, again) = found
    for name, expected in weights.items():
        np.testing.assert_allclose(others[name], expected, atol=1e-6, err_msg=name)
    for row, expected in zip(again, epochs, strict=True):
        assert row == pytest.approx(expected, rel=1e-5, abs=1e-6)
