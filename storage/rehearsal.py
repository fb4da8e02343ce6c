"""Rehearse the reading of files in a child process with limited memory and time.

On damaged files, C libraries may crash, allocate arbitrary amounts of memory or never return, and
nothing in the same process could stop them. Therefore, a child process reads each file first and
discards the result. Then this process reads the same bytes in the same way, so it needs to trust
nothing of the child's but its outcome.

A server, started for the first file, forks these children, since starting Python for each would
take as long as reading most files.
"""

import atexit
import contextlib
import functools
import importlib
import inspect
import json
import os
import resource
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from utils import UserError

MEMORY = 2**31
"""Address space in bytes for reading a file, plus ``MEMORY_PER_BYTE`` for each byte of it."""
MEMORY_PER_BYTE = 32
SECONDS = 5
"""CPU time in seconds for reading a file, plus one for every ``BYTES_PER_SECOND`` of it."""
BYTES_PER_SECOND = 2**24

_PATIENCE = 10  # limit of the wall-clock time, as a multiple of the CPU time
_SERVER = (
    "import sys; sys.path.insert(0, sys.argv[1]); from storage import rehearsal; rehearsal.serve()"
)
_ONE_THREAD = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")

_server: subprocess.Popen | None = None
_asking = threading.Lock()
_serving = False  # True in the server and its children


def rehearsed(*libraries: str) -> Callable[[Callable], Callable]:
    """Return a decorator for a reader that rehearses each file before reading it.

    Args:
        *libraries: modules that the reader imports only when called.
    """

    def decorate(read: Callable) -> Callable:
        @functools.wraps(read)
        def rehearse_and_read(path: str | Path, *arguments):
            rehearse(read, path, *arguments, libraries=libraries)
            return read(path, *arguments)

        return rehearse_and_read

    return decorate


def rehearse(
    read: Callable, path: str | Path, *arguments: str | int | None, libraries: tuple[str, ...] = ()
) -> None:
    """Let a child process read a file, unless it has done so and the file has not changed.

    Args:
        read: the reader, a module-level function whose first argument is a path, and which raises
            UserError for files that it cannot read.
        path: the file. If it is missing, nothing happens; the reader's message is better.
        *arguments: further arguments of the reader.
        libraries: modules that the reader imports only when called.

    Raises:
        UserError: the reader raised it, or reading takes too much memory or time, or crashes.
    """
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return
    if stat.S_ISREG(status.st_mode) and not _serving:
        identity = status.st_dev, status.st_ino, status.st_mtime_ns, status.st_ctime_ns
        reader = f"{read.__module__}:{read.__name__}"
        _rehearse_once(reader, libraries, str(path), arguments, status.st_size, identity)


@functools.lru_cache(10_000)
def _rehearse_once(
    reader: str, libraries: tuple, path: str, arguments: tuple, size: int, identity: tuple
) -> None:
    """Raise UserError unless a child can read the file; done once per identity."""
    memory = MEMORY + MEMORY_PER_BYTE * size
    seconds = SECONDS + size // BYTES_PER_SECOND
    with _asking:
        end = _ask([reader, libraries, os.getcwd(), path, arguments, memory, seconds])
    if isinstance(end, str):
        raise UserError(end)
    if end in (-signal.SIGXCPU, -signal.SIGKILL, -signal.SIGALRM):
        raise UserError(f"{path} is refused: reading it takes more than {seconds} s")
    if end < 0:
        raise UserError(f"{path} is damaged: reading it ends in {signal.Signals(-end).name}")


def _ask(task: list) -> str | int:
    """Return the message of the child, or its exit status: negative for a signal."""
    global _server
    for _ in range(2):  # the server may have been killed
        _server = _server or _start()
        with contextlib.suppress(OSError):
            _server.stdin.write(json.dumps(task) + "\n")
            _server.stdin.flush()
            if line := _server.stdout.readline():
                return json.loads(line)
        stop()
    raise UserError(f"cannot read {task[3]}: the process in which files are read first has ended")


@atexit.register
def stop() -> None:
    """End the server; the next file starts it again."""
    global _server
    if _server is not None:
        with contextlib.suppress(OSError), _server:
            _server.kill()
        _server = None


def _start() -> subprocess.Popen:
    try:
        return subprocess.Popen(
            [sys.executable, "-P", "-c", _SERVER, str(Path(__file__).parents[1])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for this process; the server ends with its input
            env=os.environ | _ONE_THREAD,
            text=True,
        )
    except OSError as error:
        raise UserError(
            f"cannot start a process in which files are read first: {error.strerror}"
        ) from error


def serve() -> None:
    """Run the server: fork a child for each task on standard input, and answer how it ended."""
    global _serving
    _serving = True
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # libraries may print to standard output
    for line in sys.stdin:
        reader, libraries, *task = json.loads(line)
        module, name = reader.split(":")
        read = inspect.unwrap(getattr(importlib.import_module(module), name))
        for library in libraries:
            importlib.import_module(library)
        child = os.fork()
        if not child:
            _read_within_limits(read, *task, answers)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status:
            print(status, file=answers, flush=True)


def _read_within_limits(
    read: Callable, folder: str, path: str, arguments: list, memory: int, seconds: int, answers
) -> None:
    status = 1  # after an unexpected error, the reader itself will raise it again
    try:
        os.chdir(folder)
        _limit(resource.RLIMIT_AS, _addresses() + memory)
        _limit(resource.RLIMIT_CPU, seconds)
        signal.alarm(_PATIENCE * seconds)
        answer: str | int = 0
        try:
            read(path, *arguments)
        except (UserError, MemoryError) as error:
            exhausted = isinstance(error.__cause__ or error, MemoryError)
            answer = f"{path} is refused: reading it takes far too much memory"
            answer = answer if exhausted else str(error)
        print(json.dumps(answer), file=answers, flush=True)
        status = 0
    finally:
        os._exit(status)


def _limit(kind: int, value: int) -> None:
    soft, hard = resource.getrlimit(kind)
    given = [limit for limit in (soft, hard) if limit != resource.RLIM_INFINITY]
    with contextlib.suppress(OSError, ValueError):  # not every system has every limit
        resource.setrlimit(kind, (min(value, *given) if given else value, hard))


def _addresses() -> int:
    """Return the size of this process's address space in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
