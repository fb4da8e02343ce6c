"""Description of a study, for ``study.py show``."""

from collections.abc import Sequence

from studies.study import Part, Study
from sweeping.grid import LEARNING_RATES, LOSSES, PAPER, VALIDATION, number


def description(study: Study) -> list[str]:
    """Return the lines that ``study.py show`` prints."""
    lines = [study.title, *filter(None, [study.text])]
    for scale, parts in (("paper", study.paper), ("reduced", study.reduced)):
        for part in parts:
            lines += ["", f"--scale {scale}: {part.title}", *_contents(part)]
    if study.reduced_in:
        lines += ["", f"reduced scale: {', '.join(study.reduced_in)}"]
    if study.reduced_text:
        lines += ["", study.reduced_text]
    return lines


def _rates(rates: Sequence[float]) -> str:
    """List learning rates, or how many there are and their range."""
    if len(rates) <= len(LEARNING_RATES):
        return f"rates {' '.join(map(number, rates))}"
    return f"{len(rates)} rates from {number(min(rates))} to {number(max(rates))}"


def _contents(part: Part) -> list[str]:
    rates = {loss: _rates(part.rates_of(loss)) for loss in part.losses}
    lines = [f"  data sets: {' '.join(part.datasets)}", f"  options: {part.options}"]
    lines += [f"  {name}: {part.extra[name]}" for name in part.datasets if name in part.extra]
    more = {loss: f", {part.extra[loss]}" for loss in part.losses if loss in part.extra}
    lines += [f"  {loss}: {rates[loss]}{more.get(loss, '')}" for loss in part.losses]
    lines += _by_rate(part)
    if any(LOSSES[loss].semantic for loss in part.losses):
        lines += [f"  class embeddings of {name}: {e}" for name, e in part.embeddings.items()]
    lines += ["  starts from weights, --finetune FILE"] if part.weights else []
    lines += [f"  GPUs: {part.gpus}"] if part.gpus else []
    lines += [f"  splits: {' '.join(part.splits)}"] if any(part.splits) else []
    lines += [f"  evaluation: {part.evaluation}"] if part.evaluation else []
    lines += [f"  seeds: {' '.join(map(str, part.seeds))}", *_search(part)]
    return lines + [
        f"  published: {dataset} {loss} {accuracy}"
        for (dataset, loss), accuracy in part.published_accuracies.items()
        if (dataset, loss) in part.cells()
    ]


def _by_rate(part: Part) -> list[str]:
    """Return what goes with the first learning rate that has options of its own."""
    rates = {
        rate for loss in part.losses for rate in (*part.rates_of(loss), *part.fixed_rates(loss))
    }
    found = [f"  at {number(rate)}: {part.extra[rate]}" for rate in part.extra if rate in rates]
    return [found[0] + ", …" * (len(found) > 1)] if found else []


def _search(part: Part) -> list[str]:
    """Say how the learning rate is chosen."""
    fixed = [
        f"{loss} {' or '.join(map(number, part.paper_rates[loss]))}"
        for loss in part.losses
        if loss in part.paper_rates
    ]
    taken = [f"  best epoch: rates {', '.join(fixed)}"] if fixed else []
    if all(len(part.rates_of(loss)) == 1 for loss in part.losses):
        return taken
    by = {PAPER: "by the best test accuracy", VALIDATION: "on held-out samples"}
    how = f"  rate chosen {' and '.join(by[protocol] for protocol in part.search.protocols)}"
    how += f" of {part.search.dataset}" if part.search.dataset else ""
    how += f", with {part.search.seeds} seed{'s' * (part.search.seeds > 1)}"
    how += f", {part.extra[VALIDATION]}" if VALIDATION in part.extra else ""
    return [how, *taken]
