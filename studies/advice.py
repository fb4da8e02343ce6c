"""What to use with N samples per class: what the stored results of all studies say, by size."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from datasets.names import parse_name
from studies.choice import Outcome, outcome
from studies.report import PROTOCOL_NAMES, SIGNIFICANT, accuracy, welch
from studies.results import STORED, Runs, read_runs, runs_of
from studies.study import NAMES, Part, load
from studies.tables import markdown
from sweeping.grid import PROTOCOLS

LOSSES = {
    "xent": "cross-entropy",
    "cosine": "cosine",
    "cosine+xent": "cosine + cross-entropy",
}
"""Between which the paper lets its readers choose, and what they are called here."""

_HEADER = ("data", "samples per class", "use", *LOSSES.values(), "runs", "protocol")
_ELSEWHERE = ("table-", "figure-2", "overfitting", "dsc-", "open-set", "verification")
"""Studies that ask another question, or are of the paper's scale."""


def advice() -> list[str]:
    """Return a row per size and data set on which cross-entropy and another loss were run.

    Of two protocols the row has that which takes nothing from the test samples, if it was run.

    Raises:
        UserError: stored results are damaged.
    """
    rows = dict.fromkeys(row for part, runs in _parts() for row in _rows(part, runs))
    return markdown(_HEADER, [[str(cell) for cell in row] for row in sorted(rows)], 3)


def best_losses(found: Mapping[str, Outcome]) -> list[str]:
    """Return the losses that one may use: the best, and those that are not significantly worse.

    Args:
        found: by loss, all with values.
    """
    values = {loss: side.values for loss, side in found.items()}
    best = max(values, key=lambda loss: statistics.fmean(values[loss]))
    p = {loss: welch(values[best], values[loss]) for loss in values if loss != best}
    return [loss for loss in values if loss == best or p[loss] is None or p[loss] >= SIGNIFICANT]


def _parts() -> Iterator[tuple[Part, Runs]]:
    for name in NAMES:
        if not name.startswith(_ELSEWHERE):
            runs = read_runs(STORED / name)
            yield from ((part, runs_of(runs, part)) for part in load(name).reduced)


def _rows(part: Part, runs: Runs) -> Iterator[tuple[str | int, ...]]:
    for dataset in part.datasets:
        rows = (_row(part, dataset, protocol, runs) for protocol in reversed(PROTOCOLS))
        yield from islice(filter(None, rows), 1)


def _row(part: Part, dataset: str, protocol: str, runs: Runs) -> tuple[str | int, ...] | None:
    losses = [loss for loss in LOSSES if loss in part.losses]
    sides = {loss: outcome(part, (dataset, loss), protocol, runs) for loss in losses}
    found = {loss: side for loss, side in sides.items() if side.values}
    if "xent" not in found or len(found) < 2:
        return None
    name = parse_name(dataset)
    return (
        part.title if part.folder else name.base,
        name.per_class or part.full_size or 0,
        " or ".join(LOSSES[loss] for loss in best_losses(found)),
        *(accuracy(found[loss]) if loss in found else "–" for loss in LOSSES),
        _counts([len(side.values) for side in found.values()]),
        PROTOCOL_NAMES[protocol],
    )


def _counts(numbers: Sequence[int]) -> str:
    return "–".join(str(n) for n in sorted({min(numbers), max(numbers)}))
