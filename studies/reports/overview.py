"""The losses side by side on all data sets, from the stored results of all studies."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from datasets.names import parse_name
from studies.choice import Outcome, outcome
from studies.reports.accuracies import accuracy
from studies.reports.comparison import SIGNIFICANT, holm, welch
from studies.reports.tables import PROTOCOL_NAMES, markdown
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


@dataclass(frozen=True)
class _Row:
    data: str
    per_class: int
    sides: Mapping[str, Mapping[str, Outcome]]  # outcomes by loss, by protocol

    def cells(self) -> list[str]:
        counts = {len(side.values) for found in self.sides.values() for side in found.values()}
        runs = "–".join(str(n) for n in sorted({min(counts), max(counts)}))
        accuracies = [marked(found, loss) for found in self.sides.values() for loss in LOSSES]
        return [self.data, str(self.per_class), runs, *accuracies]


def overview() -> list[str]:
    """Return a row per data set and size where cross-entropy has a rival, by both protocols.

    Losses count from two runs on; a single one has no spread to compare it by. The last line says
    how many of the marks remain after a correction for the number of tests.

    Raises:
        UserError: stored results are damaged.
    """
    header = ["data", "samples per class", "runs"]
    header += [f"{name}: {loss}" for name in PROTOCOL_NAMES.values() for loss in LOSSES.values()]
    found = [row for name in NAMES for row in _rows(name)]
    rows = sorted(found, key=lambda row: (row.data, row.per_class))
    return [*markdown(header, [row.cells() for row in rows], 1), "", _corrected(rows)]


def _corrected(rows: Sequence[_Row]) -> str:
    counts = []
    for protocol, name in PROTOCOL_NAMES.items():
        p = [p for row in rows for p in _p_values(row.sides[protocol])]
        marks, kept = (sum(x < SIGNIFICANT for x in values) for values in (p, holm(p)))
        counts.append(f"{kept} of {marks} marks under {name} ({len(p)} tests)")
    return f"After Holm's correction, {' and '.join(counts)} remain."


def _p_values(found: Mapping[str, Outcome]) -> list[float]:
    rivals = [side.values for loss, side in found.items() if loss != "xent"]
    return [p for values in rivals if (p := welch(found["xent"].values, values)) is not None]


def _rows(study: str) -> Iterator[_Row]:
    if study.startswith(_ELSEWHERE):
        return
    runs, found = read_runs(STORED / study), load(study)
    for dataset in dict.fromkeys(dataset for part in found.reduced for dataset in part.datasets):
        for part in found.parts_on(dataset):
            row = _row(part, dataset, runs_of(runs, part))
            if any(row.sides.values()):
                yield row


def _row(part: Part, dataset: str, runs: Runs) -> _Row:
    sides = {
        protocol: _compared(part, dataset, protocol, runs) if protocol in part.shown else {}
        for protocol in PROTOCOL_NAMES
    }
    name = parse_name(dataset)
    title = part.title if part.folder else name.base
    return _Row(title, name.per_class or part.full_size or 0, sides)


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
