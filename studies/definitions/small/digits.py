"""The digits bundled with scikit-learn, 10 images per class: minutes on a CPU."""

from studies.study import Part, Search, Study
from sweeping.grid import PROTOCOLS

STUDY = Study(
    "digits",
    "Digits, 10 images per class",
    "An easy data set that needs no download.",
    reduced=(
        Part(
            "10 images per class",
            ("Digits-sub10",),
            ("xent", "cosine+xent"),
            (0.1, 0.05, 0.01),
            "--architecture resnet-32 --epochs 36",
            seeds=(0, 1),
            search=Search(PROTOCOLS, seeds=2, val_fraction=0.2),
            compared=("xent", "cosine+xent"),
        ),
    ),
    reduced_text="The paper does not use this data set. 36 epochs in two SGDR cycles.",
)
