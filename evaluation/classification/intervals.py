"""Confidence intervals of accuracies."""


def wilson_interval(correct: int, samples: int) -> tuple[float, float]:
    """Return the 95 % Wilson score interval of an accuracy, both ends in [0, 1].

    Unlike the accuracy plus and minus a multiple of its standard error, it is valid for few samples
    and for accuracies near 0 or 1 (E. B. Wilson, Probable Inference, the Law of Succession, and
    Statistical Inference, JASA 22, 1927).

    Args:
        correct: number of correctly classified samples.
        samples: number of all samples, at least 1.
    """
    from scipy.stats import binomtest

    low, high = binomtest(correct, samples).proportion_ci(0.95, method="wilson")
    return float(low), float(high)
