"""Figure 2: accuracy by samples per class, on CUB and CIFAR-100."""

from studies.definitions.paper import published as p
from studies.study import Part, Study

# The rates of the semantic embeddings are not published: here they are those of one-hot ones.
_CUB = p.BEST_RATES["CUB"] | {"semantic": (0.5,), "semantic+xent": (0.5,)}
_CIFAR = p.BEST_RATES["CIFAR-100"]

STUDY = Study(
    "figure-2",
    "Figure 2: accuracy by samples per class",
    "Subsets of the training images. An epoch repeats a subset until it has about as many "
    "iterations as with all images; the test set is always complete.",
    paper=(
        Part(
            "CUB",
            (*(f"CUB-sub{n}" for n in (1, 2, 5, 10, 15, 20, 25)), "CUB"),
            ("xent", "cosine", "cosine+xent", *p.SEMANTIC),
            _CUB,
            p.FINE_GRAINED,
            "cub",
            gpus=4,
            full_size=30,
            published_accuracies=p.TABLE_2,
        ),
        Part(
            "CIFAR-100",
            tuple(f"CIFAR-100-sub{n}" for n in (10, 25, 50, 100, 150, 200, 250)),
            ("xent", "cosine", "cosine+xent"),
            _CIFAR,
            p.CIFAR_100,
            "cifar-100",
            seeds=(0, 1, 2),
            new_subsets=True,
            compared=("xent", "cosine"),
        ),
    ),
    reduced_in=("cub50", "cifar-100-small"),
    draws=("sizes",),
)
