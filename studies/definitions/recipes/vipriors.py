"""The image classification of the VIPriors challenge: 50 images per class of ILSVRC."""

from collections.abc import Mapping

from studies.study import Part, Study
from sweeping.grid import VALIDATION

_STEPS = "--lr_schedule Step --weight_decay 1e-4 --clipgrad 0 --erasing off"
_PAPER = (
    f"--architecture resnet-50-v1.5 --batch_size 256 --crop_scale 0.08 1 {_STEPS} --step_len 30"
)
_SMALL = (
    f"--architecture rn18 --batch_size 128 --repeats 1 --crop_scale 0.08 1 {_STEPS} --step_len 10 "
    "--mixed_precision bfloat16 --cache ram"
)
_FULL, _RANDAUGMENT, _CUTMIX = "--fconv", "--randaugment timm:2:9", "--cutmix 1 --cutmix_prob 1"
_BOTH = ("xent", "cosine+xent")
_DATA, _SMALL_DATA = "VIPriors", "Tiny-ImageNet-sub50"


def _options(common: str, epochs: int, more: str) -> dict[str, str]:
    """Return options and folder: runs with the same options share one."""
    first = more.removeprefix("--").split()[:1]
    options = (common, f"--epochs {epochs} --val_every {epochs}", more)
    return {"options": " ".join(options).strip(), "folder": "-".join((*first, str(epochs)))}


def _part(title: str, epochs: int, more: str, figures: Mapping[str, float]) -> Part:
    return Part(
        f"{title}, {epochs} epochs",
        (_DATA,),
        tuple(figures),
        (0.1,),
        **_options(_PAPER, epochs, more),
        published_accuracies={(_DATA, loss): accuracy for loss, accuracy in figures.items()},
        gpus=1,
        protocols=(VALIDATION,),
    )


def _small(title: str, more: str, losses: tuple[str, ...], **others) -> Part:
    options = _options(_SMALL, 30, more)
    title = ", ".join(filter(None, ("Tiny-ImageNet", title)))
    options |= {"seeds": (0, 1), "protocols": (VALIDATION,)}
    return Part(title, (_SMALL_DATA,), losses, (0.1,), **options, **others)


STUDY = Study(
    "vipriors",
    "VIPriors: 50 images per class of ILSVRC",
    "The table of a talk about the cosine loss in the VIPriors challenge, and the challenge's own "
    "baselines. The talk applies cross-entropy to the unit vector itself; here it has a layer of "
    "its own. The talk does not give its batch size and learning rate, so those of the "
    "challenge baseline are used, and for RandAugment the magnitude of the author's other runs "
    "with timm, without their noise on it. Networks are trained on the challenge's training list "
    "and tested once, after the last epoch: nothing is chosen on the test images, which the tables "
    "call held-out. The learning rate is divided by 10 every 30 epochs, in longer runs, too.",
    paper=(
        _part("Baseline of the challenge", 90, "", {"xent": 26.39}),
        _part("Baseline of the challenge, full convolutions", 90, _FULL, {"xent": 31.16}),
        _part("ResNet-50", 90, "", {"xent": 28.212, "cosine+xent": 34.012}),
        _part("ResNet-50", 180, "", {"cosine+xent": 34.552}),
        _part("ResNet-50, RandAugment", 90, _RANDAUGMENT, {"cosine+xent": 29.714}),
        _part("ResNet-50, RandAugment", 180, _RANDAUGMENT, {"cosine+xent": 30.194}),
        _part("ResNet-50, CutMix", 90, _CUTMIX, {"xent": 28.168}),
        _part("ResNet-50, CutMix", 180, _CUTMIX, {"xent": 32.196}),
        _part("ResNet-50, CutMix", 270, _CUTMIX, {"xent": 31.524}),
        _part("ResNet-50, full convolutions", 90, _FULL, {"xent": 32.668, "cosine+xent": 32.538}),
        _part("ResNet-50, full convolutions", 180, _FULL, {"cosine+xent": 34.988}),
    ),
    reduced=(
        _small("", "", _BOTH, compared=_BOTH),
        _small("RandAugment", _RANDAUGMENT, ("cosine+xent",)),
        _small("CutMix", _CUTMIX, ("xent",)),
    ),
    reduced_text="Scaled down (the challenge's setup in parentheses): Tiny-ImageNet with 200 "
    "classes at 64 pixels and 50 training images per class, rn18 in bfloat16 (ResNet-50), batch "
    "size 128 (256), 30 epochs (90) with the learning rate divided by 10 every 10 epochs (30), two "
    "seeds. Both losses use the challenge's learning rate, which is not tuned. Full "
    "convolutions are left out: they enlarge small feature maps from 2x2 to 16x16 pixels, so that "
    "this network takes 15 times as many multiplications.",
)
