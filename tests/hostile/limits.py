"""Runs hostile inputs in other processes, which may hang, grow or die without harm to the tests."""

import json
import os
import selectors
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

SECONDS = 10
"""How long reading one input may take: processor time, since tests share their machine."""
BYTES = 2 * 2**30
"""How much memory the process may have meanwhile, with all that it imported."""

_ROOT = Path(__file__).parents[2]
PATIENCE = 180  # seconds; a machine that is shared may let a process wait
_START = 300  # until the process has imported everything


@dataclass
class Summary:
    """What became of the inputs of one reader.

    Attributes:
        outcomes: how many were read right, how many refused.
        failures: title and reason of every other one.
        slowest: seconds of processor time of the slowest, and its title.
        largest: bytes at the peak of the largest, and its title.
    """

    outcomes: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    failures: list[tuple[str, str]] = field(default_factory=list)
    slowest: tuple[float, str] = (0.0, "")
    largest: tuple[int, str] = (0, "")

    def add(self, title: str, result: dict) -> None:
        """Counts one input."""
        cpu, size = result["cpu"], result["bytes"]
        self.slowest = max(self.slowest, (cpu, title))
        self.largest = max(self.largest, (size, title))
        outcome, text = result["outcome"], result["text"]
        if cpu > SECONDS:
            outcome, text = "failure", f"it took {cpu:.1f} s"
        if size > BYTES:
            outcome, text = "failure", f"it took {size / 2**30:.1f} GiB"
        if outcome == "failure":
            self.failures.append((title, text))
        else:
            self.outcomes[outcome] += 1


def run(
    readers: Sequence[str],
    count: int,
    folder: Path,
    large: bool = False,
    patience: float = PATIENCE,
) -> dict[str, Summary]:
    """Reads mutated inputs, and those that were made by hand, with each of the readers.

    Args:
        readers: names of readers.
        count: mutated inputs of each.
        folder: a temporary one.
        large: whether to read those that take seconds, too.
        patience: seconds without any sign from the process until it is taken to hang.
    """
    summaries = {name: Summary() for name in readers}
    tasks = [[name, count, large, 0] for name in readers]
    while tasks:
        current, ended = None, None
        for message in _messages(tasks, folder, patience):
            if "reader" in message:
                current = message
            elif "end" in message:
                return summaries
            elif "died" in message:
                ended = message["died"]
            else:
                summaries[current["reader"]].add(current["title"], message)
                current = None
        if current is None:
            raise RuntimeError(f"the worker ended before its time: {ended}")
        summaries[current["reader"]].failures.append((current["title"], ended))
        while tasks[0][0] != current["reader"]:
            del tasks[0]
        tasks[0][3] = current["number"] + 1
    return summaries


def _messages(tasks: list, folder: Path, patience: float) -> Iterator[dict]:
    """What a worker tells, and at last how it ended if it did not tell that itself."""
    receiving, sending = os.pipe()
    errors = folder / "errors.txt"
    sandbox = folder / "sandbox"
    sandbox.mkdir(exist_ok=True)
    environment = {
        **os.environ,
        "PYTHONPATH": str(_ROOT),
        "HOME": str(sandbox),
        "TMPDIR": str(sandbox),
    }
    command = [sys.executable, "-m", "tests.hostile.worker", str(sending), json.dumps(tasks)]
    with open(errors, "wb") as output:
        worker = subprocess.Popen(
            command,
            cwd=sandbox,
            env={**environment, "TF_CPP_MIN_LOG_LEVEL": "3"},
            pass_fds=[sending],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    os.close(sending)
    try:
        yield from _lines(receiving, patience)
        status = worker.wait(_START)
        yield {"died": f"it ended with status {status}: {errors.read_text()[-500:]}"}
    except TimeoutError:
        yield {"died": f"no sign of it for {patience:.0f} s"}
    finally:
        worker.kill()
        worker.wait()
        os.close(receiving)


def _lines(receiving: int, patience: float) -> Iterator[dict]:
    rest, waiting = b"", _START
    with selectors.DefaultSelector() as selector:
        selector.register(receiving, selectors.EVENT_READ)
        while True:
            if not selector.select(waiting):
                raise TimeoutError
            received = os.read(receiving, 2**16)
            if not received:
                return
            *complete, rest = (rest + received).split(b"\n")
            yield from map(json.loads, complete)
            waiting = patience


def report(summaries: dict[str, Summary]) -> str:
    """A table of what became of the inputs."""
    rows = [
        f"{name:<30} {sum(s.outcomes.values()) + len(s.failures):>6} {s.outcomes['right']:>6} "
        f"{s.outcomes['refused']:>8} {len(s.failures):>9} {s.slowest[0]:>10.2f} "
        f"{s.largest[0] / 2**20:>6.0f}  {s.slowest[1]}"
        for name, s in summaries.items()
    ]
    head = f"{'reader':<30} inputs  right  refused  failures  slowest/s    MiB  slowest"
    return "\n".join([head, *rows])
