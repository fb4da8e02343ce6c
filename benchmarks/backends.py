"""Do the backends train equally well? One command under each of them, several seeds, one table.

Rounding alone makes two runs part within a few dozen steps, so a single pair says little: the
spread over seeds is the yardstick. ``python benchmarks/backends.py tensorflow jax --out DIR`` keeps
every epoch and the record of every run.
"""

import argparse
import logging
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # this script may be run from anywhere

from cli import arguments, console
from storage.history import accuracy_name, read_history
from utils import UserError

results = logging.getLogger("results")

COMMAND = (
    "learn_image_embeddings.py --embedding onehot --dataset Digits --architecture resnet-32 "
    "--batch_size 5 --epochs 3 --sgdr_base_len 3 --sgdr_max_lr 0.01"
)


def build_parser() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = arguments.build_parser(__doc__.splitlines()[0])
    parser.add_argument("backends", nargs="+", help="tensorflow, jax, torch")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--command", default=COMMAND, help="without --seed and outputs")
    parser.add_argument("--out", type=Path, help="folder for histories and records (default: none)")
    return parser


def compare(args: argparse.Namespace) -> None:
    """Run all cases and print their table."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.out or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        accuracies = {
            backend: [accuracy(args.command, backend, seed, folder) for seed in args.seeds]
            for backend in args.backends
        }
    results.info("$ python %s --seed N\n", args.command)
    results.info(table(accuracies, args.seeds))


def accuracy(command: str, backend: str, seed: int, folder: Path) -> float:
    """Return the test accuracy in percent after the last epoch.

    Raises:
        UserError: the run failed; it has said why.
    """
    history = folder / f"{backend}-seed{seed}.csv"
    options = ["--seed", str(seed), "--history", str(history.absolute())]
    run = subprocess.run(
        [sys.executable, *shlex.split(command), *options],
        cwd=ROOT,
        env=os.environ | {"KERAS_BACKEND": backend},
        stdout=subprocess.DEVNULL,
        check=False,
    )
    if run.returncode:
        raise UserError(f"{backend}, seed {seed}: the run ended with status {run.returncode}")
    last = read_history(history)[-1]
    return 100 * last[accuracy_name(last)]


def table(accuracies: dict[str, list[float]], seeds: list[int]) -> str:
    """Return a row per backend: accuracy by seed, mean, standard deviation."""
    rows = [["backend", *(f"seed {seed}" for seed in seeds), "mean", "std"]]
    for backend, values in accuracies.items():
        spread = statistics.stdev(values) if len(values) > 1 else float("nan")
        rows.append([backend, *(f"{v:.1f}" for v in (*values, statistics.mean(values), spread))])
    return "\n".join("".join(f"{cell:>12}" for cell in row) for row in rows)


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return console.run(build_parser(), compare, argv, backend=False)


if __name__ == "__main__":
    sys.exit(main())
