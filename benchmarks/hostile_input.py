"""Read thousands of damaged files with each reader: one row of outcomes for each.

``python -m benchmarks.hostile_input --out FILE.json`` reads those of the slow test.
"""

import argparse
import json
import shlex
import sys
import tempfile
from pathlib import Path

from benchmarks.machine import describe
from storage.records import versions
from tests.hostile.reader import explore, prepare
from tests.hostile.table import READERS


def main() -> int:
    """Measure all readers; return 1 if one broke the promise."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("readers", nargs="*", help="some of them (default: all)")
    parser.add_argument("--count", type=int, default=2000, help="damaged files of each")
    parser.add_argument("--out", type=Path, required=True, help="file for the results, .json")
    args = parser.parse_args()
    rows = {}
    print("reader | read | refused | slowest | most memory")
    for name in args.readers or READERS:
        try:
            rows[name] = measure(name, args.count)
            print(name, *line(rows[name]), sep=" | ", flush=True)
        except Exception as error:
            rows[name] = {"failure": [str(error), *getattr(error, "__notes__", ())]}
            print(name, *rows[name]["failure"], sep="\n", flush=True)
    command = shlex.join(["python", "-m", "benchmarks.hostile_input", *sys.argv[1:]])
    record = {"readers": rows, **describe(command), "versions": versions()}
    args.out.write_text(json.dumps(record, indent=1) + "\n")
    return int(any("failure" in row for row in rows.values()))


def measure(name: str, count: int) -> dict[str, object]:
    """Return the outcomes of one reader.

    Raises:
        Exception: it broke the promise.
    """
    with tempfile.TemporaryDirectory() as folder:
        valid = prepare(READERS[name], Path(folder))
        outcomes = explore(READERS[name], Path(folder), valid, count)
    refused = sum(outcome.message is not None for outcome in outcomes)
    return {
        "read": len(outcomes) - refused,
        "refused": refused,
        "slowest_cpu_seconds": round(max(outcome.seconds for outcome in outcomes), 3),
        "most_memory_mib": max(outcome.bytes for outcome in outcomes) // 2**20,
    }


def line(row: dict) -> list[str]:
    """Return the cells of a row of the table."""
    return [
        f"{row['read']:,}",
        f"{row['refused']:,}",
        f"{row['slowest_cpu_seconds']:.2f} s",
        f"{row['most_memory_mib']:,} MiB",
    ]


if __name__ == "__main__":
    sys.exit(main())
