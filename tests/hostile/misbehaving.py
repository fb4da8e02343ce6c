"""Readers that do what none must do, by which the tests know that they would notice."""

import ctypes
import os
import subprocess
import time
import warnings
from collections.abc import Callable
from pathlib import Path

from tests.hostile.readers import Reader
from utils import UserError

_kept = []


def _grow() -> None:
    _kept.append(bytearray(b"x") * (2**31 + 2**28))


def _exceed_the_line() -> None:
    error = UserError("input-folder")
    error.args = ("input-folder is\ndamaged",)
    raise error


def _say_nothing() -> None:
    raise UserError("something is wrong")


def _run_text() -> None:
    exec(compile("1 + 1", "<damaged>", "exec"))


DEEDS: dict[str, Callable[[], object]] = {
    "raises": lambda: [][0],
    "dies": lambda: ctypes.string_at(0),
    "ends": lambda: os._exit(0),
    "writes a file": lambda: Path("input-folder/new").write_text("new"),
    "writes elsewhere": lambda: Path("/dev/null").write_text("new"),
    "makes a folder": lambda: Path("new").mkdir(),
    "starts a process": lambda: subprocess.run(["true"]),
    "starts a shell": lambda: os.system("true"),
    "runs text": _run_text,
    "prints": lambda: os.write(2, b"warning"),
    "warns": lambda: warnings.warn("damaged", stacklevel=1),
    "grows": _grow,
    "waits": lambda: time.sleep(1000),
    "says two lines": _exceed_the_line,
    "names no file": _say_nothing,
    "is wrong": lambda: None,
}


def _reader(deed: Callable[[], object]) -> Reader:
    """Reads a valid file as it should, and a damaged one not at all."""

    def read(folder: Path) -> str:
        text = (folder / "text").read_text()
        if text != "valid":
            deed()
        return text

    def check(found: str, valid: str, folder: Path) -> None:
        assert found == valid

    write = lambda folder: (folder / "text").write_text("valid")  # noqa: E731
    return Reader(write, ("text",), read, check, (lambda rng, content: b"damaged",))


READERS = {deed: _reader(function) for deed, function in DEEDS.items()}
