"""Reads hostile inputs in a process of its own, and tells of each what came out.

    python -m tests.hostile.worker RESULTS '[[READER, COUNT, LARGE, FIRST], …]'

Lines of JSON go to the file descriptor RESULTS: one before each input is read, one after.
"""

import json
import logging
import os
import random
import resource
import shutil
import stat
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.hostile import readers
from tests.hostile.readers import Reader, apply
from utils import UserError

_MEMORY = 2**35  # bytes of addresses, so that one input cannot take the whole machine
_LONGEST = 650  # characters of a message
_SPAWNING = ("os.system", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "subprocess.Popen")
_CHANGING = ("os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.symlink", "os.link", "os.chmod")
_FORBIDDEN = {*_SPAWNING, *_CHANGING, "socket.connect", "socket.bind", "shutil.rmtree"}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


@dataclass(frozen=True)
class Input:
    """One input.

    Attributes:
        title: what it is.
        may: what may come of it, of ``"right"`` and ``"refused"``.
        change: makes it of the folder ``folder`` with a valid example.
    """

    title: str
    may: tuple[str, ...]
    change: Callable[..., None]


_seen: list[str] = []
_armed = False


def _audit(event: str, arguments: tuple) -> None:
    """Notes what a reader must not do; stays for the rest of the process."""
    if not _armed:
        return
    if event in _FORBIDDEN:
        _seen.append(f"{event} {arguments}"[:200])
    elif event == "open" and isinstance(arguments[2], int) and arguments[2] & _WRITING:
        _seen.append(f"opened for writing: {arguments[0]}"[:200])
    elif event == "exec" and _is_unknown(getattr(arguments[0], "co_filename", "")):
        _seen.append(f"executed code of {arguments[0].co_filename}"[:200])


def _is_unknown(file: str) -> bool:
    """Whether code comes from no file; libraries that are imported late make some of text."""
    return file.startswith("<") and not file.startswith(("<frozen", "<string>", "<__array"))


def _inputs(name: str, reader: Reader, example: Path, count: int, large: bool) -> list[Input]:
    fixed = [(harm, title, ("refused",)) for title, harm in reader.crafted.items()]
    fixed += [(harm, title, ("right",)) for title, harm in reader.harmless.items()]
    if large:
        fixed += [(harm, title, ("right", "refused")) for title, harm in reader.large.items()]
    contents = {file: (example / file).read_bytes() for file in reader.files}
    return [
        *(
            Input(title, may, partial(apply, harm, file=reader.files[0]))
            for harm, title, may in fixed
        ),
        *(
            Input(
                f"seed {seed}", ("right", "refused"), partial(_mutate, name, reader, contents, seed)
            )
            for seed in range(count)
        ),
    ]


def _mutate(name: str, reader: Reader, contents: dict[str, bytes], seed: int, folder: Path) -> None:
    rng = random.Random(f"{name} {seed}")
    file = rng.choice(reader.files)
    (folder / file).write_bytes(rng.choice(reader.mutators)(rng, contents[file]))


def _outcome(reader: Reader, folder: Path, valid: object) -> tuple[str, str]:
    """What became of one input: right, refused or failure, and a text about it."""
    global _armed
    _seen.clear()
    printed = os.fstat(2).st_size
    with warnings.catch_warnings(record=True) as warned:
        _armed = True
        try:
            found, error = reader.read(folder), None
        except UserError as caught:
            found, error = None, caught
        except BaseException:
            return "failure", traceback.format_exc()[-1500:]
        finally:
            _armed = False
    if _seen:
        return "failure", f"it did what it must not: {_seen}"
    if warned:
        return "failure", f"it warned: {warned[0].message}"[:300]
    if os.fstat(2).st_size != printed:
        return "failure", f"it printed: {_printed_since(printed)}"
    return _refusal(reader, folder, error) if error else _right(reader, folder, found, valid)


def _printed_since(position: int) -> str:
    with open("/proc/self/fd/2") as file:
        file.seek(position)
        return file.read()[:300]


def _refusal(reader: Reader, folder: Path, error: UserError) -> tuple[str, str]:
    message = str(error)
    if len(message.splitlines()) != 1 or len(message) > _LONGEST:
        return "failure", f"the message is no single line: {message[:300]!r}"
    names = [folder.name, *reader.named, *(Path(file).name for file in reader.files)]
    if not any(name in message for name in names):
        return "failure", f"the message names no file: {message[:300]!r}"
    return "refused", message


def _right(reader: Reader, folder: Path, found: object, valid: object) -> tuple[str, str]:
    try:
        reader.check(found, valid, folder)
    except AssertionError:
        return "failure", "the result is wrong: " + traceback.format_exc()[-1000:]
    return "right", ""


def _tree(top: str) -> dict[str, tuple]:
    """Kind, size and time of change of everything below a folder, by its path within it."""
    found, waiting = {}, [top]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                status = entry.stat(follow_symlinks=False)
                is_folder = stat.S_ISDIR(status.st_mode)
                size = 0 if is_folder else status.st_size
                found[entry.path[len(top) :]] = status.st_mode, size, status.st_mtime_ns
                if is_folder:
                    waiting.append(entry.path)
    return found


def _restore(folder: Path, example: Path, wanted: dict[str, tuple]) -> None:
    """Makes the folder what the example is."""
    if _files_of(_tree(str(folder))) == _files_of(wanted):
        return
    _empty(folder)
    shutil.copytree(example, folder, dirs_exist_ok=True, symlinks=True)


def _files_of(tree: dict[str, tuple]) -> dict[str, tuple]:
    return {path: facts for path, facts in tree.items() if not stat.S_ISDIR(facts[0])}


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def _reset_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def _peak() -> int:
    """Bytes of memory that the process had at most since ``_reset_peak``."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def _read_all(task: list, out) -> None:
    """Reads all inputs of one reader, from number ``first`` on."""
    name, count, large, first = task
    reader = readers.reader(name)
    example, folder = Path("example"), Path("input-folder")
    for one in (example, folder):
        one.mkdir(exist_ok=True)
        _empty(one)
    reader.prepare(example)
    wanted = _tree(str(example))
    _restore(folder, example, wanted)
    valid = reader.read(folder)
    reader.check(valid, valid, folder)
    for number, one in enumerate(_inputs(name, reader, example, count, large)):
        if number >= first:
            print(json.dumps({"reader": name, "number": number, "title": one.title}), file=out)
            _restore(folder, example, wanted)
            one.change(folder=folder)
            print(json.dumps(_read_one(reader, folder, valid, one)), file=out)


def _read_one(reader: Reader, folder: Path, valid: object, one: Input) -> dict:
    before = _tree(".")
    _reset_peak()
    started, cpu = time.monotonic(), time.process_time()
    outcome, text = _outcome(reader, folder, valid)
    figures = {
        "seconds": time.monotonic() - started,
        "cpu": time.process_time() - cpu,
        "bytes": _peak(),
    }
    if outcome != "failure" and outcome not in one.may:
        outcome, text = "failure", f"{outcome} instead of {' or '.join(one.may)}: {text}"
    if outcome != "failure" and _tree(".") != before:
        outcome, text = "failure", "it changed files"
    return {"outcome": outcome, "text": text, **figures}


def main() -> None:
    """Reads the inputs of the readers that the command line names, within its folder."""
    results, tasks = sys.argv[1:]
    logging.getLogger().addHandler(logging.NullHandler())
    warnings.simplefilter("always")
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    sys.addaudithook(_audit)
    with open(int(results), "w", buffering=1) as out:
        for task in json.loads(tasks):
            _read_all(task, out)
        print(json.dumps({"end": True}), file=out)


if __name__ == "__main__":
    main()
