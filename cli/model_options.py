"""Options for several models: their names, and one value for all or one for each."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from utils import UsageError, listing

Value = TypeVar("Value")


def model_names(paths: Sequence[Path], labels: Sequence[str] | None) -> list[str]:
    """Return the names of the models: ``labels`` if given, else those of the files.

    Raises:
        UsageError: there are more or fewer names than files, or two models have the same.
    """
    if labels is None:
        stems = [path.stem for path in paths]
        labels = stems if len(set(stems)) == len(stems) else [str(path) for path in paths]
    elif len(labels) != len(paths):
        raise UsageError(f"--label: {len(labels)} names for {len(paths)} models")
    twice = [name for name, times in Counter(labels).items() if times > 1]
    if twice:
        raise UsageError(f"--label: two models have the same name, {listing(twice)}")
    return list(labels)


def per_model(option: str, values: Sequence[Value], models: int) -> list[Value]:
    """Return one value for each model, given one for all or one for each.

    Raises:
        UsageError: there are neither one value nor ``models`` values.
    """
    if len(values) not in (1, models):
        raise UsageError(f"{option}: {len(values)} values for {models} models")
    return list(values) * (models if len(values) == 1 else 1)
