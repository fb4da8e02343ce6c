"""How long does learn_folder.py take, and how good is the network that it finds?

Without a folder of images, it gets the digits of scikit-learn, as in docs/your-photos.md.
"""

import argparse
import csv
import logging
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # this script may be run from anywhere

from benchmarks.report import add_output_options, recorded
from cli import arguments, console
from cli.arguments import user_path
from storage.records import read_record, record_path
from utils import UserError

results = logging.getLogger("results")


def build_parser() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = arguments.build_parser(__doc__.splitlines()[0])
    parser.add_argument("--photos", type=user_path, metavar="DIR", help="images (default: digits)")
    add_output_options(parser)
    parser.add_argument("options", nargs="*", help="of learn_folder.py, after --")
    return parser


def measure(args: argparse.Namespace) -> None:
    """Run the command, and tell its time and the accuracy on the test images.

    Raises:
        UserError: the command fails.
    """
    with recorded(args) as report, tempfile.TemporaryDirectory() as folder:
        photos, out = args.photos or _digits(Path(folder)), Path(folder) / "out"
        command = [sys.executable, str(ROOT / "learn_folder.py"), str(photos), "--out", str(out)]
        began = time.perf_counter()
        if status := subprocess.run([*command, *args.options]).returncode:
            raise UserError(f"learn_folder.py ended with status {status}")
        report["seconds"] = time.perf_counter() - began
        report |= _found(out)
    told = report["seconds"], report["trials"], report["final"]
    results.info("%.0f s, trials: %s; test images: %s", *told)


def _digits(folder: Path) -> Path:
    """Write the digits as images, one folder per class."""
    from PIL import Image
    from sklearn.datasets import load_digits

    digits = load_digits()
    for i, (pixels, label) in enumerate(zip(digits.images, digits.target, strict=True)):
        file = folder / "digits" / str(label) / f"{i:04d}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((pixels * 255 / 16).round().astype("uint8")).save(file)
    return folder / "digits"


def _found(out: Path) -> dict[str, object]:
    """Return the states of the trials, and options and metrics of the winner."""
    with open(out / "trials.csv", newline="") as file:
        states = Counter(row["status"] for row in csv.DictReader(file))
    record = read_record(record_path(out / "model.keras"))
    options = {k: v for k, v in record["options"].items() if isinstance(v, str | int | float)}
    # Paths are those of a temporary folder.
    options = {k: v for k, v in options.items() if str(out) not in str(v)}
    return {"trials": dict(states), "winner": options, "final": record["final"]}


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return console.run(build_parser(), measure, argv, backend=False)


if __name__ == "__main__":
    sys.exit(main())
