"""Figure 1: three losses over a 2-d feature space; no trainings."""

from studies.study import Study

STUDY = Study(
    "figure-1",
    "Figure 1: three losses over a two-dimensional feature space",
    "Cross-entropy after softmax, mean squared error and cosine loss for the target (1, 0), from "
    "the functions that training minimizes.",
    draws=("losses",),
)
