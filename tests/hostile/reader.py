"""Readers of hostile files and the outcomes that are allowed.

A damaged file (bits flipped, cut off, bytes inserted, parts swapped) ends in the right result or in
one clear line, within ``SECONDS`` and ``BYTES``.
"""

import faulthandler
import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.hostile.damage import Damage, damaged, damages
from utils import UserError

SECONDS = 10  # processor time, since tests share their machine; rehearsals are killed after 5 s
BYTES = 2 * 2**30  # more than the process had before

_LINE = 650  # characters of a message
_PATIENCE = 180  # seconds, and one for each example
_ADDRESSES = 8 * 2**30  # bytes


@dataclass(frozen=True)
class Reader:
    """A reader of files.

    Attributes:
        write: writes the files of a valid example into a folder.
        files: those of them that are damaged, one at a time.
        read: reads the folder.
        check: raises AssertionError unless the result of reading a damaged folder is right; called
            with that result, the result of the valid example, and the folder.
        named: what an error may name instead of a file, e.g. the data set; "" anything.
        examples: damaged files of a quick test.
    """

    write: Callable[[Path], object]
    files: tuple[str, ...]
    read: Callable[[Path], object]
    check: Callable[[object, object, Path], None]
    named: tuple[str, ...] = ()
    examples: int = 50


@dataclass(frozen=True)
class Outcome:
    """Result of reading one folder.

    Attributes:
        message: of the refusal; None: it was read.
        seconds: processor time.
        bytes: peak of the memory, beyond that before.
    """

    message: str | None
    seconds: float
    bytes: int


def prepare(reader: Reader, folder: Path) -> object:
    """Write and read the valid example."""
    reader.write(folder)
    valid = reader.read(folder)
    reader.check(valid, valid, folder)
    return valid


def explore(reader: Reader, folder: Path, valid: object, examples: int) -> list[Outcome]:
    """Read damaged files, the same ones each time.

    Args:
        reader: the reader.
        folder: with the valid example.
        valid: the result of reading that.
        examples: how many damaged files.

    Raises:
        AssertionError, or whatever the reader raises: one breaks the promise. Notes name the
            smallest such damage.
    """
    contents = {file: (folder / file).read_bytes() for file in reader.files}
    inputs = [st.tuples(st.just(file), damages(len(c))) for file, c in contents.items()]
    outcomes = []

    @settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.one_of(inputs))
    def check(damage: tuple[str, list[Damage]]) -> None:
        file, changes = damage
        (folder / file).write_bytes(damaged(contents[file], changes))
        outcomes.append(outcome(reader, folder, valid))
        (folder / file).write_bytes(contents[file])

    # Ends the process if a reader hangs where no exception can reach it, in C.
    faulthandler.dump_traceback_later(_PATIENCE + examples, exit=True, file=sys.__stderr__)
    try:
        check()
    finally:
        faulthandler.cancel_dump_traceback_later()
    return outcomes


def outcome(reader: Reader, folder: Path, valid: object) -> Outcome:
    """Read a folder once.

    Raises:
        AssertionError, or whatever the reader raises: it breaks the promise.
    """
    found, message = None, None
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    before, started = _memory(), time.process_time()
    with _limited(before["VmSize"] + _ADDRESSES):
        try:
            found = reader.read(folder)
        except UserError as error:
            message = str(error)
    seconds, size = time.process_time() - started, _memory()["VmHWM"] - before["VmRSS"]
    assert seconds <= SECONDS, f"it took {seconds:.1f} s"
    assert size <= BYTES, f"it took {size / 2**30:.1f} GiB"
    if message is None:
        reader.check(found, valid, folder)
    else:
        _check_message(message, [folder.name, *reader.named, *reader.files])
    return Outcome(message, seconds, size)


def _check_message(message: str, names: list[str]) -> None:
    assert len(message.splitlines()) == 1 and len(message) <= _LINE, f"no single line: {message!r}"
    assert any(Path(name).name in message for name in names), f"names no file: {message!r}"


@contextmanager
def _limited(addresses: int) -> Iterator[None]:
    """Make allocating beyond so many bytes of addresses fail: the machine is shared."""
    old = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (addresses, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, old)


def _memory() -> dict[str, int]:
    """Return the memory of this process in bytes: VmSize, VmRSS and its peak VmHWM."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return {line.split(":")[0]: 1024 * int(line.split()[1]) for line in lines if line[:2] == "Vm"}
