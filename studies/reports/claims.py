"""What the paper claims, and what the stored results of this project say about it."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from studies.choice import alike, best_outcome
from studies.reports.report import SIGNIFICANT, welch
from studies.reports.tables import NOT_RUN, markdown
from studies.results import STORED, read_runs
from studies.study import load
from sweeping.grid import PROTOCOLS


@dataclass(frozen=True)
class Claim:
    """Statement of the paper that one loss is better than another.

    Attributes:
        text: of the claim.
        section: of the paper.
        study: that tests it here, at its reduced scale; ``""``: none does.
        worse: loss that has the lower accuracy.
        better: loss that has the higher one.
        datasets: on which; all that were run have to agree.
    """

    text: str
    section: str
    study: str = ""
    worse: str = ""
    better: str = ""
    datasets: tuple[str, ...] = ()


_CUB_SIZES = ("CUB-sub5", "CUB-sub10", "CUB-sub20", "CUB")

CLAIMS = (
    Claim(
        *("The cosine loss beats cross-entropy on small data sets (CUB)", "abstract, 5.2"),
        *("cub50", "xent", "cosine", ("CUB",)),
    ),
    Claim(
        *("Cosine + cross-entropy beats cross-entropy (CUB)", "5.2"),
        *("cub50", "xent", "cosine+xent", ("CUB",)),
    ),
    Claim(
        *("The cosine loss beats cross-entropy, both tuned alike (CUB)", "abstract, 5.2"),
        *("baselines", "xent", "cosine", ("CUB",)),
    ),
    Claim(
        *("Cosine + cross-entropy beats cross-entropy, both tuned alike (CUB)", "5.2"),
        *("baselines", "xent", "cosine+xent", ("CUB",)),
    ),
    Claim(
        *("Label smoothing improves cross-entropy on CUB", "5.2"),
        *("cub50", "xent", "xent+ls", ("CUB",)),
    ),
    Claim(
        *("Label smoothing falls behind the cosine loss (CUB)", "5.2"),
        *("cub50", "xent+ls", "cosine", ("CUB",)),
    ),
    Claim(
        *("MSE never beats another loss (CUB, against cross-entropy)", "5.2"),
        *("cub50", "mse", "xent", ("CUB",)),
    ),
    Claim(
        *("Class hierarchies improve accuracy further (CUB)", "abstract, 5.3"),
        *("cub50", "cosine+xent", "semantic+xent", ("CUB",)),
    ),
    Claim(
        *("Cosine + cross-entropy wins at any number of images per class (CUB)", "5.4"),
        *("cub50", "xent", "cosine+xent", _CUB_SIZES),
    ),
    Claim(
        *("The cosine loss wins below 150 images per class (CIFAR-100)", "5.4"),
        *("cifar-100-small", "xent", "cosine"),
        tuple(f"CIFAR-100-sub{n}" for n in (10, 50, 100)),
    ),
    Claim(
        *("The cosine loss wins up to 100 documents per class (AG News)", "5.5"),
        *("figure-3", "xent", "cosine", tuple(f"AG-News-sub{n}" for n in (10, 25, 50, 100))),
    ),
    Claim(
        "The cosine loss is on par with cross-entropy on large data sets and after pre-training",
        "5.2, 6",
    ),
    Claim("Deeper taxonomies help if cross-entropy is added, and hurt otherwise", "5.3"),
)


def claims_table() -> list[str]:
    """Return a row per claim, with a verdict by each protocol, as Markdown."""
    rows = [
        [claim.text, claim.section, *(verdict_on(claim, protocol) for protocol in PROTOCOLS)]
        for claim in CLAIMS
    ]
    return markdown(["claim", "section", "best epoch", "held-out"], rows, 4)


def verdict_on(claim: Claim, protocol: str) -> str:
    """Return the verdict about a claim, and the differences that it rests on.

    It is supported if every difference that was measured has its sign and is significant, in part
    if some are, else not supported. Single runs have no test and settle nothing.
    """
    if not claim.study:
        return "not testable here"
    if not any(protocol in part.shown for part in load(claim.study).reduced):
        return "–"
    measured = (_difference(claim, dataset, protocol) for dataset in claim.datasets)
    differences = [found for found in measured if found]
    if not differences:
        return NOT_RUN
    verdict, count = _verdict(differences), len(differences)
    if count < len(claim.datasets):
        verdict += f" so far, {count} of {len(claim.datasets)} sizes"
    return f"**{verdict}**: {'; '.join(map(_shown, differences))}"


@dataclass(frozen=True)
class _Difference:
    dataset: str
    points: float
    p: float | None
    runs: tuple[int, int]


def _difference(claim: Claim, dataset: str, protocol: str) -> _Difference | None:
    runs = read_runs(STORED / claim.study)
    for parts in alike(load(claim.study).reduced):
        worse, better = (
            best_outcome(parts, (dataset, loss), protocol, runs).values
            for loss in (claim.worse, claim.better)
        )
        if worse and better:
            points = 100 * (statistics.fmean(better) - statistics.fmean(worse))
            return _Difference(dataset, points, welch(worse, better), (len(worse), len(better)))
    return None


def _verdict(differences: Sequence[_Difference]) -> str:
    if any(found.p is None for found in differences):
        agree = all(found.points > 0 for found in differences)
        sign = "agrees" if agree else "disagrees"
        return f"inconclusive, too few runs; the sign {sign} with the claim"
    support = [found.points > 0 and found.p < SIGNIFICANT for found in differences]
    return "supported" if all(support) else "in part" if any(support) else "not supported"


def _shown(found: _Difference) -> str:
    p = "" if found.p is None else f", p = {found.p:.2g}"
    counts = " and ".join(map(str, found.runs))
    return f"{found.dataset} {found.points:+.1f} points ({counts} runs{p})"
