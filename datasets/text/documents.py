"""Documents in files: rows of CSV files, and unlabeled documents in CSV or text files."""

import csv
import io
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from datasets.text.vocabulary import Vocabulary
from utils import UsageError, UserError, read_text, repeated

TEXT_SUFFIX = ".txt"


def csv_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows of a CSV file, each with the number of the line it begins in.

    Raises:
        UserError: the file cannot be read, or a row is damaged.
    """
    rows, line = csv.reader(io.StringIO(read_text(path), newline=""), strict=True), 1
    try:
        for row in rows:
            yield line, row
            line = rows.line_num + 1
    except csv.Error as error:
        # A quote that is not closed is noticed in a later line, maybe the last one.
        raise UserError(f"{path}:{line}: {error}, in the row that begins here") from error


@dataclass
class Documents:
    """Unlabeled documents; the counterpart of ``datasets.images.finding.Found``.

    Attributes:
        files: names of all documents: a path, for rows with the number of the first line.
        texts: texts by name, of the documents that could be read.
        damaged: one error for each of the others.
        skipped: hidden and other files in folders.
        unreadable: errors of folders that cannot be listed.
    """

    files: list[str] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)
    damaged: list[UserError] = field(default_factory=list)
    skipped: list[Path] = field(default_factory=list)
    unreadable: list[UserError] = field(default_factory=list)


class Batch(NamedTuple):
    """Documents and errors, see ``datasets.images.unlabeled.Batch``."""

    paths: list[str]
    samples: np.ndarray
    damaged: list[UserError]


def document_batches(found: Documents, vocabulary: Vocabulary, batch_size: int) -> Iterator[Batch]:
    """Yield word indices of documents in batches; all errors are in the first one."""
    names, damaged = list(found.texts), found.damaged
    for start in range(0, max(len(names), 1), batch_size):
        part = names[start : start + batch_size]
        yield Batch(part, vocabulary.encode([found.texts[name] for name in part]), damaged)
        damaged = []


def check_columns(columns: Sequence[str]) -> None:
    """Check columns of CSV files: numbers from 1, or names in the first line.

    Raises:
        UsageError: a column is 0, empty or given twice.
    """
    if "" in columns:
        raise UsageError("--columns: a column is empty")
    if twice := repeated(columns):
        raise UsageError(f"--columns: {twice[0]} is given twice")
    if _are_numbers(columns) and not all(map(int, columns)):
        raise UsageError("--columns: numbers start at 1")


def _are_numbers(columns: Sequence[str]) -> bool:
    return all(column.isdecimal() and len(column) < 10 for column in columns)


def find_documents(paths: Sequence[Path], columns: Sequence[str] = ()) -> Documents:
    """Read text files given by name, all ``.txt`` files in folders, or columns of CSV files.

    Args:
        paths: files and folders.
        columns: columns of CSV files that are joined to one document, see ``check_columns``; empty:
            each file is one document.

    Raises:
        UsageError: a path does not exist, there are no documents, or a CSV file is given without
            columns.
        UserError: a CSV file is damaged, lacks a column or has two with its name.
    """
    found = Documents()
    for path in paths:
        if not os.path.exists(path):
            raise UsageError(f"{path} does not exist")
        if columns:
            _add_rows(found, path, columns)
            continue
        if path.suffix == ".csv" and not os.path.isdir(path):
            raise UsageError(f"{path}: give --columns, which of its columns are the documents")
        if os.path.isdir(path):
            _add_folder(found, path)
        else:
            _add_file(found, path)
    if not found.files and not found.unreadable:
        raise UsageError(f"no documents in {', '.join(map(str, paths))}")
    return found


def _add_folder(found: Documents, top: Path) -> None:
    def complain(error: OSError) -> None:
        message = f"cannot read the folder {error.filename}: {error.strerror}"
        found.unreadable.append(UserError(message))

    paths = []
    for folder, folders, files in os.walk(top, onerror=complain):
        folders[:] = [name for name in folders if not name.startswith(".")]  # where os.walk goes
        paths += [Path(folder, name) for name in files]
    for path in sorted(paths):
        if path.suffix == TEXT_SUFFIX and not path.name.startswith("."):
            _add_file(found, path)
        else:
            found.skipped.append(path)


def _add_file(found: Documents, path: Path) -> None:
    found.files.append(str(path))
    try:
        found.texts[str(path)] = read_text(path)
    except UserError as error:
        found.damaged.append(error)


def _add_rows(found: Documents, path: Path, columns: Sequence[str]) -> None:
    rows = csv_rows(path)
    positions = _positions(path, rows, columns)
    for line, row in rows:
        if len(row) <= max(positions):
            raise UserError(
                f"{path}:{line}: expected at least {max(positions) + 1} columns, found {len(row)}"
            )
        found.files.append(f"{path}:{line}")
        found.texts[found.files[-1]] = " ".join(row[position] for position in positions)


def _positions(
    path: Path, rows: Iterator[tuple[int, list[str]]], columns: Sequence[str]
) -> list[int]:
    """Return the positions of columns, from 0; names are looked up in the first row."""
    if _are_numbers(columns):
        return [int(column) - 1 for column in columns]
    _, header = next(rows, (1, []))
    if not header:
        raise UserError(f"{path}:1: expected the names of the columns, found nothing")
    for column in columns:
        if column not in header:
            raise UserError(
                f"{path}:1: there is no column {column[:40]!r}, only {', '.join(header)[:200]}"
            )
        if header.count(column) > 1:
            raise UserError(
                f"{path}:1: {header.count(column)} columns are called {column[:40]!r}; give numbers"
            )
    return [header.index(column) for column in columns]
