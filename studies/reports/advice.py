"""The best loss by data set and samples per class, from the stored results of all studies."""

import statistics
from collections.abc import Iterator, Mapping, Sequence

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
"""Display names of the compared losses."""

_HEADER = ("data", "samples per class", "use", *LOSSES.values(), "runs", "protocol")
_ELSEWHERE = ("table-", "figure-2", "overfitting", "dsc-", "open-set", "verification")
"""Studies that ask another question, or are of the paper's scale."""


def advice() -> list[str]:
    """Return a row per data set, size and protocol, where cross-entropy has a rival.

    Losses count from two runs on; a single one has no spread to compare it by.
    Protocols that lead to the same row share it.

    Raises:
        UserError: stored results are damaged.
    """
    protocols: dict[tuple[str | int, ...], set[str]] = {}
    for *row, protocol in (row for name in NAMES for row in _rows(name)):
        protocols.setdefault(tuple(row), set()).add(protocol)
    rows = [(*row, found.pop() if len(found) == 1 else "both") for row, found in protocols.items()]
    ordered = sorted(rows, key=lambda row: (row[0], row[1], row[-1]))
    return markdown(_HEADER, [[str(cell) for cell in row] for row in ordered], 3)


def best_losses(found: Mapping[str, Outcome]) -> list[str]:
    """Return the best loss and those not significantly worse.

    Args:
        found: outcomes by loss, all with values.
    """
    values = {loss: side.values for loss, side in found.items()}
    best = max(values, key=lambda loss: statistics.fmean(values[loss]))
    p = {loss: welch(values[best], values[loss]) for loss in values if loss != best}
    return [loss for loss in values if loss == best or p[loss] is None or p[loss] >= SIGNIFICANT]


def _rows(study: str) -> Iterator[tuple[str | int, ...]]:
    if study.startswith(_ELSEWHERE):
        return
    runs, found = read_runs(STORED / study), load(study)
    for dataset in dict.fromkeys(dataset for part in found.reduced for dataset in part.datasets):
        for part in found.parts_on(dataset):
            rows = (_row(part, dataset, protocol, runs_of(runs, part)) for protocol in part.shown)
            yield from filter(None, rows)


def _row(part: Part, dataset: str, protocol: str, runs: Runs) -> tuple[str | int, ...] | None:
    losses = [loss for loss in LOSSES if loss in part.losses]
    sides = {loss: outcome(part, (dataset, loss), protocol, runs) for loss in losses}
    found = {loss: side for loss, side in sides.items() if len(side.values) > 1}
    if "xent" not in found or len(found) < 2:
        return None
    name = parse_name(dataset)
    return (
        part.title if part.folder else name.base,
        name.per_class or part.full_size or 0,
        _named(best_losses(found), found),
        *(accuracy(found[loss]) if loss in found else "–" for loss in LOSSES),
        _counts([len(side.values) for side in found.values()]),
        PROTOCOL_NAMES[protocol],
    )


def _named(losses: Sequence[str], compared: Mapping[str, Outcome]) -> str:
    names = [LOSSES[loss] for loss in losses]
    return "any" if len(names) == len(compared) else " or ".join(names)


def _counts(numbers: Sequence[int]) -> str:
    return "–".join(str(n) for n in sorted({min(numbers), max(numbers)}))
