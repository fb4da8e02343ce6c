"""The losses side by side on all data sets, from the stored results of all studies."""

import statistics
from collections.abc import Iterator, Mapping

from datasets.names import parse_name
from studies.choice import Outcome, outcome
from studies.reports.accuracies import accuracy
from studies.reports.comparison import PROTOCOL_NAMES, SIGNIFICANT, welch
from studies.reports.tables import markdown
from studies.results import STORED, Runs, read_runs, runs_of
from studies.study import NAMES, Part, load

LOSSES = {
    "xent": "cross-entropy",
    "cosine": "cosine",
    "cosine+xent": "cosine + cross-entropy",
}
"""Display names of the compared losses; the others are compared with the first."""

WORSE = "↓"
"""Mark of accuracies that are significantly below those of cross-entropy; bold ones are above."""

_ELSEWHERE = ("table-", "figure-2", "overfitting", "dsc-", "open-set", "verification")
"""Studies that ask another question, or are of the paper's scale."""


def overview() -> list[str]:
    """Return a row per data set and size where cross-entropy has a rival, by both protocols.

    Losses count from two runs on; a single one has no spread to compare it by.

    Raises:
        UserError: stored results are damaged.
    """
    header = ["data", "samples per class", "runs"]
    header += [f"{name}: {loss}" for name in PROTOCOL_NAMES.values() for loss in LOSSES.values()]
    rows = sorted((row for name in NAMES for row in _rows(name)), key=lambda row: row[:2])
    return markdown(header, [[str(cell) for cell in row] for row in rows], 1)


def _rows(study: str) -> Iterator[tuple[str | int, ...]]:
    if study.startswith(_ELSEWHERE):
        return
    runs, found = read_runs(STORED / study), load(study)
    for dataset in dict.fromkeys(dataset for part in found.reduced for dataset in part.datasets):
        for part in found.parts_on(dataset):
            if row := _row(part, dataset, runs_of(runs, part)):
                yield row


def _row(part: Part, dataset: str, runs: Runs) -> tuple[str | int, ...] | None:
    sides = {
        protocol: _compared(part, dataset, protocol, runs) if protocol in part.shown else {}
        for protocol in PROTOCOL_NAMES
    }
    counts = {len(side.values) for found in sides.values() for side in found.values()}
    if not counts:
        return None
    name = parse_name(dataset)
    return (
        part.title if part.folder else name.base,
        name.per_class or part.full_size or 0,
        "–".join(str(n) for n in sorted({min(counts), max(counts)})),
        *(marked(sides[protocol], loss) for protocol in PROTOCOL_NAMES for loss in LOSSES),
    )


def _compared(part: Part, dataset: str, protocol: str, runs: Runs) -> dict[str, Outcome]:
    """Return the outcomes by loss; none unless cross-entropy and another loss have several runs."""
    losses = [loss for loss in LOSSES if loss in part.losses]
    sides = {loss: outcome(part, (dataset, loss), protocol, runs) for loss in losses}
    found = {loss: side for loss, side in sides.items() if len(side.values) > 1}
    return found if "xent" in found and len(found) > 1 else {}


def marked(found: Mapping[str, Outcome], loss: str) -> str:
    """Return the accuracy of a loss: bold or marked by ``WORSE`` if it differs significantly.

    Args:
        found: outcomes by loss, among them cross-entropy, or none.
        loss: key of ``LOSSES``.
    """
    if loss not in found:
        return "–"
    ours, baseline = found[loss].values, found["xent"].values
    p = welch(baseline, ours)
    if p is None or p >= SIGNIFICANT:
        return accuracy(found[loss])
    better = statistics.fmean(ours) > statistics.fmean(baseline)
    return f"**{accuracy(found[loss])}**" if better else f"{accuracy(found[loss])} {WORSE}"
