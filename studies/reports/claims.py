"""The paper's claims, each with a verdict from the stored results of this project."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from studies.choice import Outcome, outcome
from studies.reports.comparison import SIGNIFICANT, holm, welch, welch_of_leads
from studies.reports.tables import NOT_RUN, PROTOCOL_NAMES, markdown
from studies.results import STORED, Run, read_runs, runs_of
from studies.study import NAMES, TITLES, Part, load
from sweeping.grid import PROTOCOLS

BETTER, EQUAL, GROWING = "better", "equal", "growing"
"""Kinds of claims: one loss is better, none is, or its lead grows with the data set."""


@dataclass(frozen=True)
class Comparison:
    """Comparison of two losses by which a claim is tested.

    Attributes:
        study: study with the results, at its reduced scale.
        worse: loss that has the lower accuracy according to the claim.
        better: loss that has the higher one.
        datasets: on which; all that were run have to agree. Of a lead that grows, the first and the
            last one that were run count.
        kind: ``BETTER``; ``EQUAL``: there is no significant difference; ``GROWING``.
        folders: of the parts with the worse and the better loss; empty: both are in one part.
    """

    study: str
    worse: str
    better: str
    datasets: tuple[str, ...]
    kind: str = BETTER
    folders: tuple[str, str] | tuple[()] = ()


@dataclass(frozen=True)
class Claim:
    """Statement of the paper about the accuracies of two losses.

    Attributes:
        text: the claim in one sentence.
        section: section of the paper.
        test: how it is tested; None: it cannot be tested here.
    """

    text: str
    section: str
    test: Comparison | None = None


_CUB = ("CUB",)
_CUB_SIZES = ("CUB-sub5", "CUB-sub10", "CUB-sub20", "CUB")
_ORL_SIZES = ("ORL-sub2", "ORL-sub3", "ORL")
_CIFAR_SIZES = ("CIFAR-100-sub10", "CIFAR-100-sub50", "CIFAR-100-sub100")
_NEWS_SIZES = ("AG-News-sub10", "AG-News-sub25", "AG-News-sub50", "AG-News-sub100")
_LARGE_NEWS = ("AG-News-sub400",)
_BOTH = "Adding cross-entropy to the cosine loss is slightly better in all cases"

CLAIMS = (
    Claim(
        "The cosine loss beats cross-entropy on small data sets (CUB: by 30 %)",
        "abstract, 5.2",
        Comparison("cub50", "xent", "cosine", _CUB),
    ),
    Claim(
        "Cosine + cross-entropy beats cross-entropy (CUB)",
        "5.2",
        Comparison("cub50", "xent", "cosine+xent", _CUB),
    ),
    Claim(
        "The cosine loss beats cross-entropy, with the same four candidates (CUB)",
        "abstract, 5.2",
        Comparison("baselines", "xent", "cosine", _CUB),
    ),
    Claim(
        "Cosine + cross-entropy beats cross-entropy, with the same four candidates (CUB)",
        "5.2",
        Comparison("baselines", "xent", "cosine+xent", _CUB),
    ),
    Claim("The cosine loss beats cross-entropy on NAB, Cars, Flowers-102 and MIT Indoor", "5.2"),
    Claim(
        "The cosine loss beats cross-entropy with a handful of images per class (ORL)",
        "abstract",
        Comparison("orl", "xent", "cosine", _ORL_SIZES),
    ),
    Claim(
        "Cosine + cross-entropy beats cross-entropy with a handful of images per class (ORL)",
        "5.2",
        Comparison("orl", "xent", "cosine+xent", _ORL_SIZES),
    ),
    Claim(
        "Label smoothing improves cross-entropy on CUB",
        "5.2",
        Comparison("cub50", "xent", "xent+ls", _CUB),
    ),
    Claim(
        "Label smoothing falls behind the cosine loss (CUB)",
        "5.2",
        Comparison("cub50", "xent+ls", "cosine", _CUB),
    ),
    Claim(
        "MSE never beats another loss (CUB, against cross-entropy)",
        "5.2",
        Comparison("cub50", "mse", "xent", _CUB),
    ),
    Claim(
        "Class hierarchies improve accuracy further (CUB)",
        "abstract, 5.3",
        Comparison("cub50", "cosine+xent", "semantic+xent", _CUB),
    ),
    Claim(
        "Cosine + cross-entropy wins at any number of images per class (CUB)",
        "5.4",
        Comparison("cub50", "xent", "cosine+xent", _CUB_SIZES),
    ),
    Claim(
        "The lead of the cosine loss grows as images are added (CUB, with cross-entropy added)",
        "5.4",
        Comparison("cub50", "xent", "cosine+xent", _CUB_SIZES, GROWING),
    ),
    Claim("Semantic embeddings help most with very few images per class (CUB)", "5.4"),
    Claim(
        "The cosine loss wins below 150 images per class (CIFAR-100)",
        "5.4",
        Comparison("cifar-100-small", "xent", "cosine", _CIFAR_SIZES),
    ),
    Claim(
        "Cosine + cross-entropy wins below 150 images per class (CIFAR-100)",
        "5.4",
        Comparison("cifar-100-small", "xent", "cosine+xent", _CIFAR_SIZES),
    ),
    Claim("Cross-entropy takes over from 150 to 200 images per class (CIFAR-100)", "5.4"),
    Claim(
        "The cosine loss wins up to 100 documents per class (AG News: with p < 0.01; by 17 % with "
        "10, by 26 % with 25)",
        "5.5",
        Comparison("figure-3", "xent", "cosine", _NEWS_SIZES),
    ),
    Claim(
        "No significant difference on larger data sets (AG News)",
        "5.5",
        Comparison("figure-3", "xent", "cosine", _LARGE_NEWS, EQUAL),
    ),
    Claim(f"{_BOTH} (CUB)", "5.4", Comparison("cub50", "cosine", "cosine+xent", _CUB)),
    Claim(
        f"{_BOTH} (CUB, with the same four candidates)",
        "5.4",
        Comparison("baselines", "cosine", "cosine+xent", _CUB),
    ),
    Claim(
        f"{_BOTH} (CIFAR-100)",
        "5.4",
        Comparison("cifar-100-small", "cosine", "cosine+xent", _CIFAR_SIZES),
    ),
    Claim(
        f"{_BOTH} (AG News, where the paper does not try it)",
        "5.4",
        Comparison("figure-3", "cosine", "cosine+xent", _NEWS_SIZES + _LARGE_NEWS),
    ),
    Claim(
        "The cosine loss is on par with cross-entropy on large data sets and after pre-training",
        "5.2, 6",
    ),
    Claim("Fine-tuning a pre-trained network beats all losses from scratch by far", "5.2, 5.4"),
    Claim(
        "Deeper taxonomies help if cross-entropy is added (CUB, 4–6 levels against 4)",
        "5.3",
        Comparison(
            "table-3", "semantic+xent", "semantic+xent", _CUB, folders=("flat", "wikispecies")
        ),
    ),
    Claim(
        "Deeper taxonomies hurt without cross-entropy (CUB, 7 levels against 4)",
        "5.3",
        Comparison("table-3", "semantic", "semantic", _CUB, folders=("deep", "flat")),
    ),
)


def claims_table() -> list[str]:
    """Return a row per claim, with a verdict by each protocol, and what all studies took."""
    rows = [
        [claim.text, claim.section, *(verdict_on(claim.test, protocol) for protocol in PROTOCOLS)]
        for claim in CLAIMS
    ]
    table = markdown(["claim", "section", "best epoch", "held-out"], rows, 4)
    corrected = [_corrected(protocol) for protocol in PROTOCOLS]
    runs = [run for name in NAMES for run in read_runs(STORED / name)]
    return [*table, "", *corrected, "", computing(runs)]


def _corrected(protocol: str) -> str:
    """Return a list item that says which differences remain significant among so many tests."""
    # By name: two claims may rest on the same difference.
    p = {
        f"{_against(test)}, {found.where} in `{test.study}`, {found.points:+.1f}": found.p
        for test in (claim.test for claim in CLAIMS)
        for found in _findings(test, protocol)
        if found.p is not None
    }
    adjusted = dict(zip(p, holm(list(p.values())), strict=True))
    kept = [f"{name} (p = {a:.2g})" for name, a in adjusted.items() if a < SIGNIFICANT]
    count = f"{len(p)} tests, {sum(value < SIGNIFICANT for value in p.values())} with p < 0.05"
    remaining = f"{len(kept)} of them" + f": {'; '.join(kept)}" * bool(kept)
    return f"- {PROTOCOL_NAMES[protocol]}: {count}; after Holm's correction, {remaining}."


def _against(test: Comparison) -> str:
    folders = [f" ({folder})" for folder in test.folders] or ["", ""]
    worse, better = (TITLES[loss].replace("… ", "") for loss in (test.worse, test.better))
    return f"{better}{folders[1]} against {worse}{folders[0]}"


def computing(runs: Sequence[Run]) -> str:
    """Return how many runs there are, and how long they took."""
    hours = sum(run.seconds for run in runs) / 3600
    return f"All studies together: {len(runs)} runs, {hours:.0f} hours."


def verdict_on(test: Comparison | None, protocol: str) -> str:
    """Return the verdict about a claim with this test, and the differences that it rests on.

    It is supported if every difference that was tested has its sign and is significant, in part if
    some are, contradicted if some are significant with the other sign, and else inconclusive. If
    the claim is that there is no difference, it is consistent with the results unless one is
    significant. Single runs have no test and settle nothing.
    """
    if test is None:
        return "not testable here"
    if not _reported(test, protocol):
        return "–"
    findings = _findings(test, protocol)
    if not findings:
        return NOT_RUN
    verdict = _verdict(test, findings)
    count = len({pair.dataset for pair in _pairs(test, protocol) if min(pair.runs) > 1})
    if 0 < count < len(test.datasets):
        verdict += f" so far, {count} of {len(test.datasets)} sizes"
    return f"**{verdict}**: {'; '.join(found.text for found in findings)}"


@dataclass(frozen=True)
class _Pair:
    """Outcomes of the two losses of a claim on a data set."""

    dataset: str
    where: str  # what distinguishes the part from the first that has the data set
    worse: Outcome
    better: Outcome

    @property
    def values(self) -> tuple[Sequence[float], Sequence[float]]:
        return self.worse.values, self.better.values

    @property
    def runs(self) -> tuple[int, int]:
        return len(self.worse.values), len(self.better.values)

    @property
    def lead(self) -> float:
        low, high = map(statistics.fmean, self.values)
        return 100 * (high - low)

    def __str__(self) -> str:
        gain = self.lead / statistics.fmean(self.worse.values)
        return f"{self.dataset}{self.where} {self.lead:+.1f} points, {gain:+.0f} %"


@dataclass(frozen=True)
class _Finding:
    where: str  # data set, or data sets
    points: float
    p: float | None
    text: str


def _findings(test: Comparison | None, protocol: str) -> list[_Finding]:
    """Return the differences on which the verdict about a claim rests."""
    if test is None or not _reported(test, protocol):
        return []
    pairs = _pairs(test, protocol)
    return _growth(pairs) if test.kind == GROWING else [_difference(pair) for pair in pairs]


def _reported(test: Comparison, protocol: str) -> bool:
    return any(protocol in part.shown for part in load(test.study).reduced)


def _pairs(test: Comparison, protocol: str) -> list[_Pair]:
    """Return a pair per data set and part in which both losses were run."""
    runs, study, found = read_runs(STORED / test.study), load(test.study), []
    for dataset in test.datasets:
        first = ""
        for sides in _sides(test, study.parts_on(dataset)):
            worse, better = (
                outcome(part, (dataset, loss), protocol, runs_of(runs, part))
                for part, loss in zip(sides, (test.worse, test.better), strict=True)
            )
            if worse.values and better.values:
                first = first or sides[0].title
                found.append(_Pair(dataset, sides[0].title.removeprefix(first), worse, better))
    return found


def _sides(test: Comparison, parts: Sequence[Part]) -> list[tuple[Part, Part]]:
    """Return the parts with the worse and with the better loss, for each comparison."""
    if not test.folders:
        return [(part, part) for part in parts]
    worse, better = ([p for p in parts if p.folder == folder] for folder in test.folders)
    return list(zip(worse, better, strict=True))


def _difference(pair: _Pair) -> _Finding:
    p = welch(*pair.values)
    counts = " and ".join(map(str, pair.runs))
    precisions = dict.fromkeys((pair.worse.precision, pair.better.precision))
    differ = f" in {' and '.join(precisions)}" if len(precisions) > 1 else ""
    where = f"{pair.dataset}{pair.where}"
    return _Finding(where, pair.lead, p, f"{pair} ({counts} runs{differ}, {_shown(p)})")


def _growth(pairs: Sequence[_Pair]) -> list[_Finding]:
    """Return the change of the lead from the first data set to the last one, if there are two."""
    if len(pairs) < 2:
        return []
    few, many = pairs[0], pairs[-1]
    p = welch_of_leads(few.values, many.values)
    change = many.lead - few.lead
    where = f"growth from {few.dataset} to {many.dataset}"
    return [_Finding(where, change, p, f"{few}; {many}: {change:+.1f} points ({_shown(p)})")]


def _shown(p: float | None) -> str:
    return "no test" if p is None else f"p = {p:.2g}"


def _verdict(test: Comparison, findings: Sequence[_Finding]) -> str:
    tested = [found for found in findings if found.p is not None]
    if not tested:
        few = "inconclusive, too few runs"
        return few if test.kind == EQUAL else f"{few}; {_signs(findings)}"
    significant = [found.points > 0 for found in tested if found.p < SIGNIFICANT]
    if test.kind == EQUAL:
        return "contradicted" if significant else "consistent"
    if not all(significant):
        return "mixed" if any(significant) else "contradicted"
    if len(significant) == len(tested):
        return "supported"
    return "in part" if significant else "inconclusive"


def _signs(findings: Sequence[_Finding]) -> str:
    agreeing = sum(found.points > 0 for found in findings)
    if 0 < agreeing < len(findings):
        return "the signs differ"
    return f"the sign {'agrees' if agreeing else 'disagrees'} with the claim"
