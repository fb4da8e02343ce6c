"""Read thousands of damaged files with each reader, and files made to waste time and memory.

``python -m benchmarks.robustness.hostile_input --out FILE.json`` reads the damaged files of the
slow test. Of crafted files, time and memory are those of this process and the rehearsal together.
"""

import argparse
import json
import multiprocessing
import resource
import shlex
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from benchmarks.machine import describe
from embeddings.taxonomy.files import read_taxonomy
from storage import rehearsal
from storage.records import versions
from tests.hostile.crafted import CRAFTED
from tests.hostile.reader import Reader, explore, outcome, prepare
from tests.hostile.table import READERS
from utils import UserError

CATERPILLAR = 2000  # classes
WASTEFUL = {
    "pickle of lists in lists": ("features .pickle", "lists of lists"),
    "pickle with a key of 2**60 parts": ("features .pickle", "a key of 2**60 parts"),
    ".npz of zeros": ("features .npz", "gigabytes of zeros"),
    "WebP of 16,383 by 5,400": ("JPEG", "a WebP of 16,383 by 5,400"),
    "JPEG with 10,000 parts of metadata": ("JPEG", "a JPEG with 10,000 parts of metadata"),
    ".mat of zeros": ("Flowers .mat", "250 MB of zeros"),
}
"""Title → reader and title in ``CRAFTED``."""


def main() -> int:
    """Measure all readers; return 1 if one broke the promise."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("readers", nargs="*", help="some of them (default: all)")
    parser.add_argument("--count", type=int, default=2000, help="damaged files of each")
    parser.add_argument("--out", type=Path, required=True, help="file for the results, .json")
    args = parser.parse_args()
    crafted = {} if args.readers else measure_wasteful()
    rows = {}
    print("reader | read | refused | slowest | most memory")
    for name in args.readers or READERS:
        try:
            rows[name] = measure(name, args.count)
            print(name, *line(rows[name]), sep=" | ", flush=True)
        except Exception as error:
            rows[name] = {"failure": [str(error), *getattr(error, "__notes__", ())]}
            print(name, *rows[name]["failure"], sep="\n", flush=True)
    command = shlex.join(["python", "-m", "benchmarks.robustness.hostile_input", *sys.argv[1:]])
    record = {"readers": rows, "wasteful": crafted, **describe(command), "versions": versions()}
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


def measure_wasteful() -> dict[str, dict[str, object]]:
    """Return the outcomes of files made to waste time and memory, each in a new process."""
    print("crafted file | bytes | outcome | computing | most memory")
    new = multiprocessing.get_context("forkserver")
    new.set_forkserver_preload(["benchmarks.robustness.hostile_input"])
    rows = {}
    with ProcessPoolExecutor(1, new, max_tasks_per_child=1) as pool:
        for title in [*WASTEFUL, "taxonomy like a caterpillar"]:
            rows[title] = pool.submit(_waste, title).result()
            print(title, *rows[title].values(), sep=" | ", flush=True)
    return rows


def _waste(title: str) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if title in WASTEFUL:
            name, kind = WASTEFUL[title]
            reader, content = READERS[name], CRAFTED[name][kind]()
        else:
            reader, content = _caterpillar()
        valid = prepare(reader, folder)
        file = folder / reader.files[0]
        file.write_bytes(content)
        rehearsal.stop()  # what its processes took is known once they have ended
        before = sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])
        found = outcome(reader, folder, valid)
        rehearsal.stop()
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    refused = found.message is not None
    return {
        "bytes": len(content),
        "outcome": found.message.replace(f"{folder}/", "") if refused else "read",
        "cpu_seconds": round(found.seconds + sum(children[:2]) - before, 2),
        "most_memory_mib": max(found.bytes // 2**20, children.ru_maxrss // 2**10),
    }


def _caterpillar() -> tuple[Reader, bytes]:
    """Return a reader that compares the classes of a taxonomy, and one of as many levels."""
    lines = [f"{i} {child}" for i in range(CATERPILLAR) for child in (i + 1, -i - 1)]

    def write(folder: Path) -> None:
        (folder / "tree.txt").write_text("0 1\n0 2\n")

    def read(folder: Path) -> object:
        taxonomy = read_taxonomy(folder / "tree.txt")
        return taxonomy.similarities(taxonomy.leaf_labels)

    def check(found: object, valid: object, folder: Path) -> None:
        if not (found >= 0).all():
            raise UserError("similarities are at least 0")

    return Reader(write, ("tree.txt",), read, check), "\n".join(lines).encode()


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
