"""What becomes of thousands of hostile files? One row for each reader.

``python -m benchmarks.hostile_input --out DIR`` runs what the slow test runs and keeps a file for
each reader; those that are there already are shown, not run again.
"""

import argparse
import json
import shlex
import sys
import tempfile
from pathlib import Path

from benchmarks.machine import describe
from storage.records import versions
from tests.hostile.limits import Summary, run
from tests.hostile.readers import table


def main() -> int:
    """Runs everything and prints the table; returns 1 if an input led to a failure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("readers", nargs="*", help="some of them (default: all)")
    parser.add_argument("--count", type=int, default=2000, help="mutated inputs of each")
    parser.add_argument("--out", type=Path, required=True, help="folder for the results")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    failures = 0
    print("reader | inputs | right | refused | failures | slowest | peak memory")
    for name in args.readers or table():
        path = args.out / f"{name.replace(' ', '-').replace(',', '')}.json"
        if not path.exists():
            path.write_text(json.dumps(measure(name, args.count), indent=1) + "\n")
        row = json.loads(path.read_text())
        failures += len(row["failures"])
        print(line(row), flush=True)
    return 1 if failures else 0


def measure(name: str, count: int) -> dict[str, object]:
    """The row of one reader."""
    with tempfile.TemporaryDirectory() as folder:
        summary = run([name], count, Path(folder), large=True)[name]
    return {
        "reader": name,
        **figures(summary),
        **describe(shlex.join(["python", "-m", "benchmarks.hostile_input", *sys.argv[1:]])),
        "versions": versions(),
    }


def figures(summary: Summary) -> dict[str, object]:
    """What became of the inputs of one reader."""
    return {
        "inputs": sum(summary.outcomes.values()) + len(summary.failures),
        "right": summary.outcomes["right"],
        "refused": summary.outcomes["refused"],
        "failures": summary.failures,
        "slowest": {"cpu_seconds": round(summary.slowest[0], 3), "input": summary.slowest[1]},
        "largest": {"MiB": summary.largest[0] // 2**20, "input": summary.largest[1]},
    }


def line(row: dict) -> str:
    """A row of the table."""
    slowest, largest = row["slowest"], row["largest"]
    return (
        f"{row['reader']} | {row['inputs']:,} | {row['right']:,} | {row['refused']:,} | "
        f"{len(row['failures'])} | {slowest['cpu_seconds']:.2f} s ({slowest['input']}) | "
        f"{largest['MiB']:,} MiB ({largest['input']})"
    )


if __name__ == "__main__":
    sys.exit(main())
