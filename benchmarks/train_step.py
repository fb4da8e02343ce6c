"""How fast is a training step? Keras under each backend against the same network in plain PyTorch.

Every configuration has a process of its own. All of them train in turns, some steps each, and are
told as ratios to PyTorch in the same round: other work on the machine slows all of them down
alike. "Per core" counts seconds of computing, whatever the number of threads; PyTorch's threads
count those in which they wait for each other too, unless ``OMP_WAIT_POLICY=PASSIVE`` is set.
"""

import argparse
import contextlib
import importlib.util
import json
import logging
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # this script may be run from anywhere

from benchmarks.report import add_output_options, recorded
from cli import arguments, console
from cli.arguments import positive

results = logging.getLogger("results")
logger = logging.getLogger(__name__)


class Case(NamedTuple):
    """A network, the side of its images in pixels, and images per batch."""

    architecture: str
    size: int
    batch_size: int


class Contestant(NamedTuple):
    """Library and settings that train.

    Attributes:
        backend: Keras' backend, or None for plain PyTorch.
        jit: whether it compiles.
        needs: library that has to be installed.
        onednn: whether TensorFlow uses the kernels of oneDNN.
    """

    backend: str | None
    jit: str
    needs: str
    onednn: bool = True


CASES = {
    "resnet-110-wfc": Case("resnet-110-wfc", 32, 100),
    "resnet-50-224": Case("resnet-50", 224, 16),
    "resnet-50-448": Case("resnet-50", 448, 4),
    "rn18-64": Case("rn18", 64, 50),
}
PYTORCH = "PyTorch"
CONTESTANTS = {
    PYTORCH: Contestant(None, "off", "torch"),
    "PyTorch-compile": Contestant(None, "on", "torch"),
    "tensorflow": Contestant("tensorflow", "off", "tensorflow"),
    "tensorflow-eigen": Contestant("tensorflow", "off", "tensorflow", onednn=False),
    "tensorflow-jit": Contestant("tensorflow", "on", "tensorflow"),
    "jax": Contestant("jax", "on", "jax"),
    "torch": Contestant("torch", "off", "torch"),
}
PRECISIONS = ("float32", "bfloat16", "float16")


def build_parser() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = arguments.build_parser(__doc__.splitlines()[0])

    def several(name: str, known: object, default: list[str], text: str) -> None:
        parser.add_argument(name, nargs="+", choices=list(known), default=default, help=text)

    several("--cases", CASES, ["resnet-110-wfc"], "networks, and sizes of their images")
    several("--contestants", CONTESTANTS, [PYTORCH, "tensorflow"], "PyTorch, or Keras' backends")
    several("--precisions", PRECISIONS, ["float32", "bfloat16"], "of the arithmetic")
    parser.add_argument("--batch_size", type=positive, metavar="N", help="instead of the case's")
    parser.add_argument("--steps", type=positive, default=3, metavar="N", help="per round")
    parser.add_argument("--rounds", type=positive, default=5, metavar="N", help="of all in turn")
    parser.add_argument(
        "--torch_python",
        type=Path,
        metavar="PYTHON",
        help="the Python that has PyTorch, if it is not this one",
    )
    add_output_options(parser)
    return parser


def measure(args: argparse.Namespace) -> None:
    with recorded(args) as report:
        report["cases"] = {}
        for name in args.cases:
            case = CASES[name]
            case = case._replace(batch_size=args.batch_size or case.batch_size)
            rows = _measure_case(case, args, report["versions"])
            report["cases"][name] = case._asdict() | {"rows": rows}
            _show(f"{name}, {case.size} pixels, batches of {case.batch_size}", rows)
        report["load_at_end"] = os.getloadavg()


def _measure_case(case: Case, args: argparse.Namespace, versions: dict) -> dict[str, dict]:
    """Return the rows of one table, by contestant and precision."""
    with contextlib.ExitStack() as stack:
        workers = {}
        for precision in args.precisions:
            for name in args.contestants:
                if worker := _start(case, name, precision, args.torch_python, stack):
                    workers[name, precision] = worker
                    versions |= worker.started["versions"]
        for round_ in range(args.rounds):
            logger.info("Round %d of %d", round_ + 1, args.rounds)
            for worker in workers.values():
                worker.train(args.steps)
        images = args.steps * case.batch_size
        return {" ".join(key): _row(key, workers, images) for key in workers}


class Worker:
    """Process that runs ``step_worker.py``.

    Args:
        configuration: what it reads.
        contestant: what trains.
        python: what runs it.
        environment: more variables of it.

    Attributes:
        started: what it answered after the first step.
        turns: what it answered after each turn.
    """

    def __init__(
        self,
        configuration: dict[str, object],
        contestant: Contestant,
        python: Path,
        environment: Mapping[str, str] | None = None,
    ):
        script = Path(__file__).with_name("step_worker.py")
        # A pipe that nobody reads would fill up.
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the process)
        self.process = subprocess.Popen(
            [str(python), str(script), json.dumps(configuration)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env=os.environ
            | {"JAX_ENABLE_COMPILATION_CACHE": "0"}  # the first step is one that compiles
            | dict(environment or {})
            | ({"KERAS_BACKEND": contestant.backend} if contestant.backend else {})
            | ({} if contestant.onednn else {"TF_ENABLE_ONEDNN_OPTS": "0"}),
        )
        self.turns: list[dict[str, float]] = []

    def begin(self) -> None:
        """Wait for the first step."""
        self.started = self._answer()

    def train(self, steps: int) -> None:
        """Train a number of steps while all others wait."""
        print(steps, file=self.process.stdin, flush=True)
        self.turns.append(self._answer())

    def _answer(self) -> dict:
        for line in self.process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        raise EOFError(f"the process ended with status {self.process.wait()}")

    def last_words(self) -> str:
        """Return the last line that the process wrote to standard error."""
        self._errors.seek(0)
        *_, last = self._errors.read().decode(errors="replace").strip().splitlines() or ["silent"]
        return last

    def close(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()
        self._errors.close()


def _start(
    case: Case, name: str, precision: str, torch_python: Path | None, stack: contextlib.ExitStack
) -> Worker | None:
    """Start a process and wait for its first step; return None if its library is missing."""
    contestant = CONTESTANTS[name]
    python = torch_python if contestant.needs == "torch" else None
    if python is None and importlib.util.find_spec(contestant.needs) is None:
        logger.warning("%s: %s is not installed", name, contestant.needs)
        return None
    mixed = None if precision == "float32" else precision
    configuration = case._asdict() | contestant._asdict() | {"mixed_precision": mixed}
    worker = Worker(configuration, contestant, python or Path(sys.executable))
    stack.callback(worker.close)
    try:
        worker.begin()
    except EOFError as error:
        logger.warning("%s %s cannot be measured: %s", name, precision, error)
        return None
    logger.info("%s %s: first step after %.1f s", name, precision, worker.started["first_step"])
    return worker


def _row(key: tuple[str, str], workers: dict[tuple[str, str], Worker], images: int) -> dict:
    """Return the measurements of one worker: medians of all rounds, and ratios within them."""
    turns = {other: worker.turns for other, worker in workers.items()}
    own, pytorch, full = turns[key], turns.get((PYTORCH, key[1])), turns.get((key[0], "float32"))
    return {
        "images_per_second": statistics.median(images / turn["wall"] for turn in own),
        "images_per_core_second": statistics.median(images / turn["cpu"] for turn in own),
        "to_pytorch": _ratio(own, pytorch, "wall"),
        "to_pytorch_per_core": _ratio(own, pytorch, "cpu"),
        "to_float32": _ratio(own, full, "wall"),
        "to_float32_per_core": _ratio(own, full, "cpu"),
        "first_step_seconds": workers[key].started["first_step"],
        "peak_mib": own[-1]["peak_mib"],
        "turns": own,
    }


def _ratio(own: list[dict], reference: list[dict] | None, kind: str) -> float | None:
    """Return the speed relative to the reference: the median of the rounds."""
    if not reference:
        return None
    return statistics.median(b[kind] / a[kind] for a, b in zip(own, reference, strict=True))


COLUMNS = {
    "images/s": ("images_per_second", "%.1f"),
    "to PyTorch": ("to_pytorch", "%.2f"),
    "to float32": ("to_float32", "%.2f"),
    "images/s per core": ("images_per_core_second", "%.1f"),
    "to PyTorch per core": ("to_pytorch_per_core", "%.2f"),
    "to float32 per core": ("to_float32_per_core", "%.2f"),
    "first step, s": ("first_step_seconds", "%.1f"),
    "memory, MiB": ("peak_mib", "%.0f"),
}


def _show(title: str, rows: dict[str, dict]) -> None:
    results.info("\n%s\n", title)
    results.info("| | %s |\n|---|%s", " | ".join(COLUMNS), "---:|" * len(COLUMNS))
    for name, row in rows.items():
        values = [(row[key], form) for key, form in COLUMNS.values()]
        cells = ["–" if value is None else form % value for value, form in values]
        results.info("| %s | %s |", name, " | ".join(cells))


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return console.run(build_parser(), measure, argv, backend=False)


if __name__ == "__main__":
    sys.exit(main())
