"""Which objective makes the better open-set classifier, on the published splits."""

from studies.definitions.paper.published import BEST_RATES
from studies.definitions.simplex import common
from studies.study import Part, Study

_LOSSES = (*common.BASELINES, "dsc_open")
_RATES = {
    # Published for this network, by ARPL and DSC.
    **dict.fromkeys(("xent", "dsc_open"), (0.1,)),
    # The paper's for CUB and Flowers.
    **{loss: BEST_RATES["CUB"][loss] for loss in ("cosine", "cosine+xent")},
}
# Four class embeddings of length 4 are nearer to each other than the margin; they get that of six.
_FOUR = {"dsc_open": "--embedding_scale 6"}
_SMALL = "--architecture classifier32 --lr_schedule Cosine --weight_decay 1e-4"
_PAPER = f"{_SMALL} --batch_size 128 --epochs 100 --clipgrad 0"
# Published without weight decay, and without a phase in which only the last layers are trained.
_TINY = "--architecture resnet-50 --lr_schedule Cosine --optimizer adam --finetune_init 0"


def _published(title: str, datasets: str, kind: str, **more) -> Part:
    more = {"rates": _RATES, "options": _PAPER, "folder": kind, "gpus": 1} | more
    trials = tuple(f"{kind}:{n}" for n in range(5))
    return Part(
        title, tuple(datasets.split()), _LOSSES, splits=trials, evaluation="open-set", **more
    )


STUDY = Study(
    "open-set",
    "Open sets: cross-entropy, cosine loss and DSC on the same splits",
    "Networks are trained on some of the classes and should reject test images of the others. "
    "Every objective has the same images, network and schedule. As published, the Deep Simplex "
    "Classifier (DSC) also trains on background images; they are left out here because the other "
    "objectives cannot use them. With four known classes, its class embeddings have length 6 "
    "instead of 4, which is too short for the published margin. The *published* figures are means "
    "over the five trials, with a step schedule, as reported by a user of ARPL's code "
    "(https://github.com/iCGY96/ARPL/issues/2).",
    paper=(
        _published(
            "MNIST, SVHN and CIFAR-10",
            "MNIST SVHN CIFAR-10",
            "arpl",
            published_metrics={
                ("CIFAR-10", "xent"): {"accuracy": 94.3, "auroc": 86.1, "oscr": 83.9}
            },
        ),
        _published(
            "CIFAR-10, ten classes of CIFAR-100 unknown", "CIFAR-10", "arpl+10", extra=_FOUR
        ),
        _published("CIFAR-10, 50 classes of CIFAR-100 unknown", "CIFAR-10", "arpl+50", extra=_FOUR),
        _published(
            "Tiny-ImageNet, fine-tuned from ILSVRC",
            "Tiny-ImageNet-caffe",
            "arpl",
            rates=(0.001,),
            options=f"{_TINY} --batch_size 128 --epochs 100 --clipgrad 0",
            folder="tiny",
            weights=True,
        ),
    ),
    reduced=(
        Part(
            "MNIST and CIFAR-10, two trials",
            ("MNIST-sub100", "CIFAR-10-sub100"),
            _LOSSES,
            _RATES,
            f"{_SMALL} --batch_size 32 --repeats 1 --epochs 10 --val_every 10",
            splits=("arpl:0", "arpl:1"),
            evaluation="open-set",
        ),
    ),
    reduced_text="Scaled down (published setup in parentheses): 100 training images per class "
    "(5,000 and more), batch size 32 (128), 10 epochs (100), gradients clipped to norm 10 (no "
    "clipping), two trials (five); all test images are used. CIFAR-10 was read from JPEG copies "
    "(quality 75). The learning rates are not tuned: 0.1 is the rate that ARPL and DSC published "
    "for this network, and 0.5 is the paper's rate for the cosine loss on CUB and Flowers. No "
    "network has converged after these 190 steps.",
    draws=("roc",),
)
