"""CUB, its first 50 classes, in 64 pixels: the effect of the losses at a size for CPUs."""

from studies.definitions.paper import published as p
from studies.study import Part, Study
from sweeping.grid import PROTOCOLS

RATES = (1.0, 0.5, 0.1, 0.05, 0.01)
OPTIONS = (
    "--architecture rn18 --target_size 72 --crop_size 64 --batch_size 50 --epochs 84 --cache ram"
)
SEARCH = {"seeds": (0, 1, 2), "protocols": PROTOCOLS, "val_fraction": 0.2}
REDUCED = (
    "Scaled down (the paper's setup in parentheses): the first 50 classes (200), rn18 at 64 "
    "pixels (ResNet-50 at 448), batch size 50 (96), 84 epochs in three SGDR cycles (372 in "
    "five), five learning rates (eight); bfloat16."
)
STUDY = Study(
    "cub50",
    "CUB, 50 classes at 64 pixels",
    "Test accuracy of several losses, and of two of them by number of training samples per class.",
    reduced=(
        Part(
            "30 images per class",
            ("CUB",),
            ("cosine+xent", "xent", "cosine", "semantic+xent", "xent+ls", "mse"),
            RATES,
            OPTIONS,
            **SEARCH,
            full_size=30,
            reported=p.TABLE_2,
            compared=("xent", "cosine+xent"),
        ),
        Part(
            "By images per class",
            ("CUB-sub5", "CUB-sub10", "CUB-sub20", "CUB"),
            ("cosine+xent", "xent"),
            RATES,
            OPTIONS,
            **SEARCH,
            chosen_on="CUB",
            full_size=30,
            compared=("xent", "cosine+xent"),
        ),
    ),
    reduced_text=REDUCED,
    draws=("curves", "sizes"),
)
