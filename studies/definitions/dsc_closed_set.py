"""Deep Simplex Classifier against cross-entropy and the cosine loss, on known classes only."""

from studies.definitions import simplex
from studies.definitions.published import BEST_RATES
from studies.study import Part, Study

_LOSSES = ("dsc", *simplex.BASELINES)
_SCHEDULE = "--lr_schedule Cosine --clipgrad 0"

STUDY = Study(
    "dsc-closed-set",
    "Simplex targets: closed-set classification of CIFAR-100",
    "DSC with class embeddings of length 1000, as published, and the objectives of this project on "
    f"the same network. {simplex.NO_FIGURES}",
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
            splits=simplex.CLASSES,
        ),
    ),
    reduced_text="Reduced against the publication: the first 20 of 100 classes, 100 of 500 images "
    "of each; resnet-32 with 64 features in place of a ResNet-18 with 512; 10 epochs in place of "
    "400. The test images judge the last epoch only. The rates are not searched: that of DSC is "
    "the published one, the others are the published ones for CIFAR-100 and another network.",
)
