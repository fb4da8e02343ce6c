"""Run commands in the process of the tests, check errors, and read outputs."""

import contextlib
import csv
import io
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from unittest import mock

import h5py
import keras
import numpy as np

from tests.commands import tiny_network

TINY = "--dataset Digits-sub5 --repeats 1 --batch_size 20 --val_batch_size 448 --architecture tiny"
"""Three steps per epoch on 50 images."""
FOLDER = "--dataset Folder --architecture tiny --target_size 16 --crop_size 14 --epochs 1"
USAGE, DATA = 2, 1
"""Exit statuses of usage errors and of unusable data."""


@dataclass(frozen=True)
class Outcome:
    """Exit status, standard output and standard error of a command."""

    status: int
    out: str
    err: str


def run(command: ModuleType, options: str, *more: object) -> Outcome:
    """Run ``command.main``; a SystemExit counts as its exit status.

    Args:
        command: ``learn_classifier`` or ``learn_image_embeddings``.
        options: separated by spaces.
        *more: further ones, which may contain spaces.
    """
    argv = [*options.split(), *map(str, more)]
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        mock.patch.object(sys, "argv", [f"{command.__name__}.py"]),
        tiny_network.registered(),
    ):
        try:
            status = command.main(argv)
        except SystemExit as error:
            status = error.code
        finally:
            keras.config.set_dtype_policy("float32")
    return Outcome(status, out.getvalue(), err.getvalue())


def succeed(command: ModuleType, options: str, *more: object) -> Outcome:
    """Run a command that must exit with status 0."""
    outcome = run(command, options, *more)
    assert outcome.status == 0, outcome.err
    return outcome


def check_refused(outcome: Outcome, prog: str, status: int, named: str) -> None:
    """Assert that the command printed one line of error and nothing else."""
    errors = [line for line in outcome.err.splitlines() if "error" in line.lower()]
    assert len(errors) == 1, outcome.err
    assert errors[0].startswith(f"{prog}: error: ")
    assert outcome.err.splitlines()[-1] == errors[0]
    assert named in errors[0]
    assert "Traceback" not in outcome.err
    assert outcome.out == ""
    assert outcome.status == status


def arrays(path: Path) -> dict[str, np.ndarray]:
    """All arrays of numbers in an HDF5 file, by their place in it."""
    found = {}

    def visit(name: str, item: h5py.Dataset | h5py.Group) -> None:
        if isinstance(item, h5py.Dataset) and item.dtype.kind in "fiu":
            found[name] = item[()]

    with h5py.File(path) as file:
        file.visititems(visit)
    return found


def same_arrays(first: Path, second: Path) -> bool:
    """Compare the arrays of two HDF5 files bit by bit."""
    one, two = arrays(first), arrays(second)
    assert one and one.keys() == two.keys()
    return all(one[name].tobytes() == two[name].tobytes() for name in one)


def history(path: Path) -> list[dict[str, float]]:
    """The rows of a CSV file."""
    with open(path, newline="") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def record(path: Path) -> dict:
    """The record that a run leaves beside one of its files."""
    return json.loads(Path(f"{path}.run.json").read_text())
