"""What a result came from: the code's commit and the versions of the libraries, kept beside it.

Imports nothing heavy, so that commands without a network can leave records too.
"""

import importlib.metadata
import json
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path

from storage.files import replacing

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


def commit() -> str | None:
    """The version of this project's code, with ``+`` where files differ from it."""
    git = ["git", "-C", str(Path(__file__).parents[1]), "describe", "--always", "--abbrev=40"]
    try:
        # Exclude tags: the bare hash is what identifies the code.
        found = subprocess.run([*git, "--dirty=+", "--exclude=*"], capture_output=True, text=True)
    except OSError:
        return None
    return found.stdout.strip() or None


def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that a result may depend on."""
    found = {"python": platform.python_version()}
    for library in LIBRARIES:
        try:
            found[library] = importlib.metadata.version(library)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def record_path(path: Path) -> Path:
    """Where the record of a file stands: ``FILE.run.json``."""
    return path.with_name(f"{path.name}.run.json")


def write_record(path: Path, content: Mapping[str, object]) -> None:
    """Writes a record as JSON.

    Args:
        path: of the record itself.
        content: what to tell; anything that JSON does not know is written as text.

    Raises:
        UserError: the file cannot be written.
    """
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2, default=str) + "\n")
