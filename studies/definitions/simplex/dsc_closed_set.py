"""Deep Simplex Classifier against cross-entropy and the cosine loss, on known classes only."""

from studies.definitions.paper.published import BEST_RATES
from studies.definitions.simplex import common
from studies.study import Part, Study

_LOSSES = ("dsc", *common.BASELINES)
_SCHEDULE = "--lr_schedule Cosine --clipgrad 0"

STUDY = Study(
    "dsc-closed-set",
    "Simplex targets: closed-set classification of CIFAR-100",
    "The Deep Simplex Classifier (DSC) with class embeddings of length 1000, as published, "
    f"compared with cross-entropy and the cosine loss on the same network. {common.NO_FIGURES}",
    paper=(
        Part(
            "CIFAR-100",
            ("CIFAR-100",),
            _LOSSES,
            {**BEST_RATES["CIFAR-100"], "dsc": (0.05,)},
            "--architecture cifar-resnet-18 --batch_size 128 --epochs 400 --weight_decay 5e-4 "
            f"{_SCHEDULE}",
            gpus=1,
            compared=("xent", "dsc"),
        ),
    ),
    reduced=(
        Part(
            "20 classes of CIFAR-100, 100 images per class",
            ("CIFAR-100-sub100",),
            _LOSSES,
            {**BEST_RATES["CIFAR-100"], "dsc": (0.05,)},
            "--architecture resnet-32 --batch_size 50 --repeats 1 --epochs 10 --val_every 10 "
            f"{_SCHEDULE}",
            splits=common.CLASSES,
        ),
    ),
    reduced_text="Scaled down (published setup in parentheses): the first 20 classes (100), 100 "
    "images per class (500), resnet-32 with 64 features (a ResNet-18 with 512), batch size 50 "
    "(128), L2 penalties of 2e-4 (weight decay 5e-4), 10 epochs (400). The networks are tested "
    "only after the last epoch. The learning rates are not tuned: DSC uses its published rate, "
    "the other losses use the rates published for CIFAR-100 with another network.",
)
