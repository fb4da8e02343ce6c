"""Records of the provenance of results: options, commit of the code, library versions.

Imports nothing heavy, so that commands without a network can write records, too.
"""

import hashlib
import importlib.metadata
import json
import platform
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from storage.files import replacing
from storage.outputs import RECORD, check_suffix, claim_all
from utils import open_regular, read_bytes

_LARGEST = 2**26  # bytes of a record

LIBRARIES = "keras tensorflow jax torch numpy scipy scikit-learn pillow ray optuna".split()

DIGEST = "sha256"
"""Entry of a record with the ``digest`` of its file."""


def commit() -> str | None:
    """Return the commit of this code, with ``+`` if files were changed; None outside git."""
    git = ["git", "-C", str(Path(__file__).parents[1]), "describe", "--always", "--abbrev=40"]
    try:
        # Exclude tags, so that the result is always a hash.
        found = subprocess.run([*git, "--dirty=+", "--exclude=*"], capture_output=True, text=True)
    except OSError:
        return None
    return found.stdout.strip() or None


def versions() -> dict[str, str]:
    """Return the versions of Python and libraries, and the backend if Keras is imported."""
    keras = sys.modules.get("keras")
    found = {"backend": keras.backend.backend()} if keras else {}
    found["python"] = platform.python_version()
    for library in LIBRARIES:
        with suppress(importlib.metadata.PackageNotFoundError):
            found[library] = importlib.metadata.version(library)
    return found


def provenance(options: Mapping[str, object]) -> dict[str, object]:
    """Return the provenance of a result: options of the command, commit, library versions."""
    return {"options": options, "commit": commit(), "versions": versions()}


def record_path(path: Path) -> Path:
    """Return the path of the record of a file: ``FILE.run.json``."""
    return path.with_name(path.name + RECORD)


def read_record(path: Path) -> dict:
    """Read a record, or another JSON object; empty if it is missing, damaged or too large."""
    try:
        content = json.loads(read_bytes(path, _LARGEST))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def digest(path: Path) -> str:
    """Return the SHA-256 of a file, by which a record identifies it."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def claim_reports(csv: Path | None, plot: Path | None, overwrite: bool) -> None:
    """Claim the files of --csv, with its record, and of --plot, .png or .svg, where given."""
    if plot:
        check_suffix("--plot", plot, (".png", ".svg"), any_case=True)
    record = csv and record_path(csv)
    claim_all((("--csv", csv), ("--csv", record), ("--plot", plot)), overwrite)


def write_record(path: Path, content: Mapping[str, object]) -> None:
    """Write a record as JSON; values of other types are written as text."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2, default=str) + "\n")


def write_record_of(file: Path, options: Mapping[str, object], **facts: object) -> None:
    """Write the record next to a file: its provenance and further facts."""
    write_record(record_path(file), provenance(options) | facts)
