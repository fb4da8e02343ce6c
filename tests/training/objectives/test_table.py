"""The table of losses: every name in its rows exists, and listing them is cheap."""

import subprocess
import sys

import pytest

from models.decisions import DECISIONS
from models.heads import NORMALIZATIONS
from training.objectives import DEFAULT_LOSS, EMBEDDING_LOSSES, LOSSES, losses


@pytest.mark.parametrize("name", LOSSES)
def test_functions_heads_and_decisions_exist(name):
    loss = LOSSES[name]
    assert callable(getattr(losses, loss.function))
    assert loss.background is None or callable(getattr(losses, loss.background))
    assert loss.head in {None, "prob", *NORMALIZATIONS}
    assert loss.decision in DECISIONS
    assert loss.help


def test_the_published_losses_on_embeddings():
    published = {"inv_corr", "unnorm_corr", "softmax_corr", "mse"}
    simplex_losses = {"dsc", "dsc_hinge", "dsc_softmax", "dsc_open"}
    assert set(EMBEDDING_LOSSES) == published | simplex_losses
    assert {LOSSES[name].scale for name in published} == {1}
    assert LOSSES[DEFAULT_LOSS].head == "l2norm"


def test_listing_losses_and_schedules_does_not_import_keras():
    code = "import sys, training.objectives, training.schedules; sys.exit('keras' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
