"""Accuracy on training and test images by epoch: does the cosine loss overfit less?"""

from studies.definitions.paper import published as p
from studies.study import Part, Study

STUDY = Study(
    "overfitting",
    "Overfitting: accuracy on training and test images by epoch",
    "The paper attributes the advantage of the cosine loss to less overfitting (Sections 3.2 and "
    "6).",
    paper=(
        Part(
            "CUB",
            ("CUB",),
            ("xent", "cosine"),
            p.BEST_RATES["CUB"],
            p.FINE_GRAINED,
            gpus=4,
            published_accuracies=p.TABLE_2,
            fitting=True,
        ),
    ),
    reduced_in=("cub50",),
    draws=("curves",),
)
