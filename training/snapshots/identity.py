"""What a run learns from, by content: files may change under the same path."""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from datasets.base import Dataset, Split
from training.objectives.objective import Objective
from training.parallel import backend
from utils import UserError, open_regular

LIBRARIES = ("backend", "keras")
BACKENDS = ("tensorflow", "jax", "torch")


def content_identity(
    dataset: Dataset, objective: Objective, finetune: Path | None = None
) -> dict[str, str]:
    """Return what two runs must agree in, beyond their options, to reach the same weights.

    Images in files count by name and label, those in memory pixel by pixel; where mean and standard
    deviation are measured, these tell most other changes. Libraries are those that do the
    arithmetic: another version may round otherwise.

    Args:
        dataset: all splits.
        objective: the targets of all classes.
        finetune: weights that the run starts from.
    """
    versions = backend.versions()
    used = [name for name in BACKENDS if name == versions["backend"]]
    targets = [term.class_vectors for term in objective.terms]
    weights = [str(term.weight) for term in objective.terms]
    held_out = dataset.validation
    return {
        "classes": _summary(len(dataset.labels), map(repr, dataset.labels)),
        "class targets": _summary(targets[0].shape[1], [*targets, *weights]),
        "training images": _images(dataset.train),
        **({} if held_out is None else {"validation images": _images(held_out)}),
        "test images": _images(dataset.test),
        "input layer": _options(dataset.input_options),
        "start": _file(finetune) if finetune else "random weights",
        **{name: versions.get(name, "unknown") for name in [*LIBRARIES, *used]},
    }


def _images(split: Split) -> str:
    pixels = [split.samples] if isinstance(split.samples, np.ndarray) else []
    return _summary(len(split), [split.labels, *split.names, *pixels])


def _summary(count: int, parts: Iterable[str | np.ndarray]) -> str:
    """Return the count and a hash of all parts."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, str):
            content = part.encode(errors="surrogateescape")  # the name of a file may be any bytes
        else:
            content = np.ascontiguousarray(part).data
        digest.update(f"{memoryview(content).nbytes} ".encode())
        digest.update(content)
    return f"{count} ({digest.hexdigest()[:12]})"


def _options(options: Mapping[str, object]) -> str:
    def text(value: object) -> str:
        if isinstance(value, list):
            return " ".join(map(text, value))
        return f"{value:.9g}" if isinstance(value, float) else str(value)

    return ", ".join(f"{name} {text(value)}" for name, value in options.items())


def _file(path: Path) -> str:
    try:
        with open_regular(path) as file:
            return f"weights ({hashlib.file_digest(file, 'sha256').hexdigest()[:12]})"
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
