"""CIFAR-100 with 10, 50 and 100 images per class, on a small network."""

from studies.study import Part, Search, Study
from sweeping.grid import PROTOCOLS

STUDY = Study(
    "cifar-100-small",
    "CIFAR-100, 10, 50 and 100 images per class",
    "The CIFAR-100 half of the paper's Figure 2, scaled down for CPUs.",
    reduced=(
        Part(
            "By images per class",
            ("CIFAR-100-sub10", "CIFAR-100-sub50", "CIFAR-100-sub100"),
            ("xent", "cosine", "cosine+xent"),
            (0.5, 0.1, 0.05, 0.01),
            "--architecture resnet-32 --batch_size 100 --epochs 84",
            seeds=(0, 1, 2),
            new_subsets=True,
            search=Search(PROTOCOLS, dataset="CIFAR-100-sub50", val_fraction=0.2),
            compared=("xent", "cosine", "cosine+xent"),
        ),
    ),
    reduced_text="Scaled down (the paper's setup in parentheses): resnet-32 (ResNet-110 of twice "
    "the width), 84 epochs (372), four learning rates (eight).",
    draws=("sizes",),
)
