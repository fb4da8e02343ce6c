"""Figure 1: three losses over a 2-d feature space; no training."""

from studies.study import Study

STUDY = Study(
    "figure-1",
    "Figure 1: three losses over a two-dimensional feature space",
    "Softmax + cross-entropy, mean squared error and the cosine loss for the target (1, 0), "
    "evaluated with the functions that training minimizes.",
    draws=("losses",),
)
