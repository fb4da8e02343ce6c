"""The identity of a run, which must match a snapshot's: options, and data by content.

Imports nothing heavy, since commands read the names of the options.
"""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from datasets.base import Dataset, Split
from storage.records import versions
from utils import UserError, open_regular

if TYPE_CHECKING:
    from training.objectives.objective import Objective

# Options that do not determine the weights; all others do, so that a new one counts unless it is
# listed. Data and files are compared by content, since that of a file may change.
_DATA = """
    data_root class_list class_weights background background_root split known
    embedding embedding_dim embedding_scale word_vectors max_words finetune
"""
_PROGRESS = "epochs initial_epoch val_every snapshot_minutes snapshot_best plot_every no_progress"
_OUTPUTS = """
    model_dump weight_dump feature_dump history log_dir plot_features snapshot overwrite
    command_line
"""
_MACHINES = """
    gpus gpu_merge device_type jit steps_per_execution val_batch_size cache read_workers queue_size
    hosts host_rank coordinator slurm join_timeout lost_timeout
"""
_OTHERS = frozenset(f"{_DATA} {_PROGRESS} {_OUTPUTS} {_MACHINES}".split())

LIBRARIES = ("backend", "keras")

WORD_VECTORS = "word vectors"
"""Name of the weights that come with the data, in the identity of a run."""


def determining(options: Iterable[str]) -> list[str]:
    """Return the names of those options of a training command whose values determine weights."""
    return [name for name in options if name not in _OTHERS]


def options_identity(options: Mapping[str, object]) -> dict[str, str]:
    """Return the values of all options that the weights depend on, as strings."""
    values = {name: str(options[name]) for name in determining(options)}
    if not options["finetune"]:
        del values["finetune_init"]
    # Names are case-insensitive.
    return values | {name: values[name].lower() for name in ("dataset", "architecture")}


def content_identity(
    dataset: Dataset,
    objective: "Objective",
    finetune: Path | None = None,
    background: Split | None = None,
) -> dict[str, str]:
    """Return what determines the weights of a run besides its options.

    Image files are compared by name and label, images in memory by their pixels, documents by their
    text. If mean and standard deviation are measured, these reveal most other changes. The versions
    of backend and Keras count, too, since others may round differently. ``finetune`` is the file of
    initial weights, ``background`` the images without a class in every batch.
    """
    found = versions()
    targets = [term.class_vectors for term in objective.terms]
    weights = [str(term.weight) for term in objective.terms]
    held_out, given = dataset.validation, dataset.input_weights
    factors = objective.terms[0].class_weights
    return {
        "classes": _summary(len(dataset.labels), map(repr, dataset.labels)),
        "class targets": _summary(targets[0].shape[1], [*targets, *weights]),
        **({} if factors is None else {"class weights": _summary(len(factors), [factors])}),
        f"training {dataset.noun}": _samples(dataset.train),
        "passes per epoch": str(dataset.repeats),
        **({} if held_out is None else {f"validation {dataset.noun}": _samples(held_out)}),
        f"test {dataset.noun}": _samples(dataset.test),
        **({} if background is None else {"background images": _samples(background)}),
        "input layer": _options(dataset.input_options),
        **({WORD_VECTORS: _summary(len(given), given)} if given else {}),
        "start": _file(finetune) if finetune else "random weights",
        **{name: found.get(name, "unknown") for name in (*LIBRARIES, found["backend"])},
    }


def _samples(split: Split) -> str:
    in_memory = {np.ndarray: [split.samples], tuple: split}.get(type(split.samples), [])
    return _summary(len(split), [split.labels, *split.names, *in_memory])


def _summary(count: int, parts: Iterable[str | np.ndarray]) -> str:
    """Return a count, followed by a hash of all parts."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, str):
            content = part.encode(errors="surrogateescape")  # file names may be any bytes
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
