"""Losses and networks after the same search for each: the protocol of Brigato et al. (GEM)."""

import math
import random

from studies.study import Part, Search, Study
from sweeping.grid import VALIDATION

_LOSSES = ("xent", "cosine", "cosine+xent")
_VARIANTS = {
    "same candidates": ("ordinary", ""),
    "same candidates, harmonic": ("harmonic", "--harmonic"),
    "same candidates, CutMix": ("cutmix", "--cutmix 1 --cutmix_prob 0.5"),
}
"""Folder and options by what the losses are combined with."""

_REPORTED = {
    "same candidates": {
        "CUB": {"xent": 70.79, "cosine": 66.94, "cosine+xent": 70.43},
        "CIFAR-10": {"xent": 55.18, "cosine": 52.39, "cosine+xent": 52.77},
    },
    "same candidates, harmonic": {
        "CUB": {"xent": 73.07},
        "CIFAR-10": {"xent": 58.00},
        "EuroSAT": {"xent": 91.98},
        "ISIC": {"xent": 69.70},
        "CLaMM": {"xent": 77.25},
    },
}
"""Balanced accuracies in percent that come with the code of GEM, by data set and loss."""

_PROTOCOL = (1e-4, 0.1), (1e-5, 0.1)
"""From which learning rate and weight decay to which the protocol searches."""

_FEW = (0.003, 0.3), (1e-5, 0.01)
"""Where a search of few candidates may find something."""


def _candidates(
    count: int, batch_sizes: tuple[int, ...], ranges: tuple[tuple[float, float], ...] = _PROTOCOL
) -> dict[float, str]:
    """Draw learning rates with a weight decay and a batch size each, as the protocol does.

    Args:
        count: number of candidates.
        batch_sizes: batch sizes to choose from.
        ranges: bounds of the rates and of the decays, which are log-uniform.

    Returns:
        Options by learning rate.
    """
    rng = random.Random(0)
    exponents = [[math.log10(bound) for bound in bounds] for bounds in ranges]
    found = {}
    while len(found) < count:
        rate, decay = (float(f"{10 ** rng.uniform(*bounds):.3g}") for bounds in exponents)
        found[rate] = f"--weight_decay {decay:g} --batch_size {rng.choice(batch_sizes)}"
    return found


def _searched(
    name: str, data: str, search: Search, epochs: int, candidates: dict[float, str],
    options: str, folder: str = "", **more,
) -> tuple[Part, ...]:  # fmt: skip
    """Return a part for each variant; every loss has the same candidates in all of them."""
    schedule = f"--epochs {epochs} --val_every {epochs} --lr_schedule Cosine --clipgrad 0"
    return tuple(
        Part(
            f"{data}, {title}",
            (data,),
            _LOSSES,
            tuple(candidates),
            " ".join(filter(None, (options, schedule, added))),
            f"{folder}{variant}",
            search=search,
            protocols=(VALIDATION,),
            extra=candidates | ({VALIDATION: "--val_every 1"} if search.averaged > 1 else {}),
            published_accuracies={
                (data, loss): accuracy
                for loss, accuracy in _REPORTED.get(title, {}).get(name, {}).items()
            },
            compared=("xent", "cosine", "cosine+xent"),
            **more,
        )
        for title, (variant, added) in _VARIANTS.items()
    )


def _published(name: str, epochs: int, trials: int, batches: tuple[int, ...], options: str):
    candidates = _candidates(trials, batches)
    return [
        part
        for i in range(3)
        for part in _searched(
            name=name,
            data=f"GEM-{name}_trainval{i}",
            search=Search((VALIDATION,), dataset=f"GEM-{name}_train{i}", averaged=5),
            epochs=epochs,
            candidates=candidates,
            options=options,
            folder=f"{name.lower()}{i}-",
            seeds=tuple(range(10)),
            gpus=1,
        )
    ]


_CROPPED = "--architecture resnet-50-v1.5 --erasing off --crop_scale"

STUDY = Study(
    "baselines",
    "Baselines: the same search for every loss",
    "Cross-entropy, the cosine loss and their combination, each with an ordinary network, with "
    "harmonic blocks and with CutMix. All of them get the same randomly drawn candidates for "
    "learning rate, weight decay and batch size. Candidates are trained on one part of the "
    "training images and compared on the other part, by the mean accuracy after the last five "
    "epochs. The best one is then trained on all training images with every seed and tested once. "
    "Brigato et al. (https://arxiv.org/abs/2108.13122) also stop bad candidates early (ASHA), "
    "search separately for each of three splits, and train ten networks per split. The published "
    "figures are balanced accuracies that come with their code, means over all splits; CIFAR-10 "
    "stands for ciFAIR-10. In their search, cross-entropy is ahead of the cosine loss.",
    paper=(
        *_published("CUB", 200, 100, (8, 16, 32), f"{_CROPPED} 0.4 1"),
        *_published("CIFAR-10", 500, 250, (10, 25, 50), "--architecture wrn-16-8"),
        *_published("EuroSAT", 500, 250, (10, 25, 50), "--architecture resnet-50-v1.5"),
        *_published("ISIC", 500, 100, (8, 16, 32), f"{_CROPPED} 0.4 1"),
        *_published("CLaMM", 500, 100, (8, 16, 32), f"{_CROPPED} 0.2 1"),
    ),
    reduced=_searched(
        name="CUB",
        data="CUB",
        search=Search((VALIDATION,), val_fraction=0.2),
        epochs=30,
        candidates=_candidates(4, (25, 50), _FEW),
        options="--architecture rn18 --target_size 72 --crop_size 64 --erasing off --crop_scale "
        "0.4 1 --repeats 1 --cache ram --mixed_precision bfloat16",
        seeds=(0, 1, 2),
        full_size=30,
    ),
    reduced_text="Scaled down (published setup in parentheses): the first 50 of the 200 classes of "
    "CUB at 64 pixels (224); rn18 in bfloat16 (ResNet-50); 30 epochs (200); batch size 25 or 50 "
    "(8, 16 or 32), since small batches are slow on CPUs; 4 candidates (100), with learning rates "
    "from 0.003 to 0.3 and weight decays from 1e-5 to 0.01, compared on a fifth of the training "
    "images, by the accuracy after the last epoch (the mean of the last five); three seeds.",
)
