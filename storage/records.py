"""Where a result comes from: commit of the code and versions of libraries, kept beside it.

Imports nothing heavy, so that commands without a network can leave records too.
"""

import hashlib
import importlib.metadata
import json
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path

from storage.files import replacing
from storage.outputs import RECORD
from utils import open_regular

LIBRARIES = (
    "keras",
    "tensorflow",
    "jax",
    "torch",
    "numpy",
    "scipy",
    "scikit-learn",
    "pillow",
    "ray",
)

DIGEST = "sha256"
"""Entry of a record with the ``digest`` of its file."""


def commit() -> str | None:
    """Return the commit of this code, with ``+`` if files differ from it; None outside of git."""
    git = ["git", "-C", str(Path(__file__).parents[1]), "describe", "--always", "--abbrev=40"]
    try:
        # Exclude tags: the bare hash is what identifies the code.
        found = subprocess.run([*git, "--dirty=+", "--exclude=*"], capture_output=True, text=True)
    except OSError:
        return None
    return found.stdout.strip() or None


def versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that a result may depend on."""
    found = {"python": platform.python_version()}
    for library in LIBRARIES:
        try:
            found[library] = importlib.metadata.version(library)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def record_path(path: Path) -> Path:
    """Path of the record of a file: ``FILE.run.json``."""
    return path.with_name(path.name + RECORD)


def digest(path: Path) -> str:
    """Return the SHA-256 of a file, which tells it from others in its record."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_record(path: Path, content: Mapping[str, object]) -> None:
    """Write a record as JSON.

    Args:
        path: of the record itself.
        content: entries; values that JSON does not know are written as text.

    Raises:
        UserError: the file cannot be written.
    """
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2, default=str) + "\n")
