"""CUB, its first 50 classes, in 64 pixels: the effect of the losses at a size for CPUs."""

from studies.definitions.paper import published as p
from studies.study import Part, Search, Study
from sweeping.grid import VALIDATION

RATES = (1.0, 0.5, 0.1, 0.05, 0.01)
OPTIONS = (
    "--architecture rn18 --target_size 72 --crop_size 64 --batch_size 50 --epochs 84 --cache ram"
)
_LOSSES = ("mse", "xent", "xent+ls", "cosine", "cosine+xent", "semantic+xent")
# For these two, the best of the five is the lowest.
_LOWER = dict.fromkeys(("mse", "xent"), (*RATES, 0.005, 0.001))
_CANDIDATES = dict.fromkeys(_LOSSES, RATES) | _LOWER
SEMANTIC_RATES = (0.5, 0.1)
"""Rates of semantic embeddings, of which none is published: that of one-hot vectors, and the one
that the search below has chosen; choose anew if it is repeated."""
_PAPER_RATES = p.BEST_RATES["CUB"] | {"semantic+xent": SEMANTIC_RATES}
SEARCH = Search((VALIDATION,), dataset="CUB", val_fraction=0.2)
SHARED = {
    "search": SEARCH,
    "seeds": (0, 1, 2),
    # Two of the three cycles of SGDR; only the accuracy at their end counts.
    "extra": {VALIDATION: "--epochs 36 --val_every 12"},
    "full_size": 30,
    "fitting": True,
}
SETUP = (
    "Scaled down (the paper's setup in parentheses): the first 50 classes (200), rn18 at 64 "
    "pixels (ResNet-50 at 448), batch size 50 (96), 84 epochs in three SGDR cycles (372 in "
    "five). Under held-out, the learning rate is one of five, chosen on a fifth of the training "
    "images after two cycles (one of eight, by the best test accuracy)."
)
STUDY = Study(
    "cub50",
    "CUB, 50 classes at 64 pixels",
    "Test accuracy of several losses, and of two of them by number of training samples per class.",
    reduced=(
        Part(
            "30 images per class",
            ("CUB",),
            _LOSSES,
            _CANDIDATES,
            OPTIONS,
            published_accuracies=p.TABLE_2,
            paper_rates=_PAPER_RATES,
            compared=("xent", "cosine", "cosine+xent"),
            **SHARED,
        ),
        Part(
            "By images per class",
            ("CUB-sub5", "CUB-sub10", "CUB-sub20", "CUB"),
            ("cosine+xent", "xent"),
            _CANDIDATES,
            OPTIONS,
            superseded=("CUB",),
            paper_rates=_PAPER_RATES,
            compared=("xent", "cosine+xent"),
            **SHARED,
        ),
    ),
    reduced_text=f"{SETUP} Cross-entropy and MSE, for which the lowest of the five is the best, "
    "have two lower ones as well. Under best epoch, the learning rate is the published one. None "
    "is published for MSE, which has the chosen one, and for semantic embeddings, which have the "
    "better one, by test accuracy, of 0.5 (published for one-hot vectors) and 0.1 (chosen).",
    draws=("curves", "sizes"),
)
