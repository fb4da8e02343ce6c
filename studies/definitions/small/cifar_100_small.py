"""CIFAR-100 with 10, 50 and 100 images per class, on a small network."""

from studies.definitions.paper import published as p
from studies.study import Part, Study

# At every size, 4,200 steps in three SGDR cycles: 84 epochs of 50 steps or 42 of 100.
_PASSES = {
    "CIFAR-100-sub10": "--repeats 5",
    "CIFAR-100-sub50": "--repeats 1",
    "CIFAR-100-sub100": "--repeats 1 --epochs 42 --sgdr_base_len 6 --val_every 6",
}
_HIGHER = 0.5

_OPTIONS = "--architecture resnet-32 --batch_size 100 --epochs 84 --val_every 12"
_SEEDS = {"seeds": (0, 1, 2), "new_subsets": True, "extra": {**_PASSES, _HIGHER: "--epochs 36"}}

STUDY = Study(
    "cifar-100-small",
    "CIFAR-100, 10, 50 and 100 images per class",
    "The CIFAR-100 half of the paper's Figure 2, scaled down for CPUs.",
    reduced=(
        Part(
            "By images per class",
            tuple(_PASSES),
            ("xent", "cosine", "cosine+xent"),
            p.BEST_RATES["CIFAR-100"],
            _OPTIONS,
            compared=("xent", "cosine", "cosine+xent"),
            fitting=True,
            **_SEEDS,
        ),
        # At 0.05, the cosine loss is far from fitting the training images after so few steps.
        Part(
            "Cosine loss at a higher rate, two cycles",
            ("CIFAR-100-sub50",),
            ("cosine",),
            (_HIGHER,),
            _OPTIONS,
            superseded=("CIFAR-100-sub50",),
            fitting=True,
            **_SEEDS,
        ),
    ),
    reduced_text="Scaled down (the paper's setup in parentheses): resnet-32 (ResNet-110 of twice "
    "the width), 4,200 steps in three SGDR cycles at every size (186,000 in five). As in the "
    "paper, the learning rate is the published one, which is the best with all 500 images per "
    "class; *Cosine loss at a higher rate* takes the one published for CUB, for "
    "two of the cycles. The test images are evaluated after every twelfth epoch (with 100 images "
    "per class, every sixth), so that the best epoch is one of these.",
    draws=("sizes",),
)
