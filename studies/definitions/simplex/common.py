"""What studies of simplex targets share: the compared objectives, and what was not published."""

BASELINES = ("xent", "cosine", "cosine+xent")
"""Objectives beside those of the Deep Simplex Classifier (DSC)."""

CLASSES = ("first:20",)
"""Classes of CIFAR-100 in DSC's own comparison, and here where all would take too long."""

NO_FIGURES = "The published figures of DSC are not available here, so the tables have none."
