"""Taxonomies and class embeddings shipped with the project, by name."""

import os
from pathlib import Path

_FOLDER = Path(__file__).parent
_EMBEDDING = ".unitsphere.npz"
_TAXONOMY = ".txt"


def embedding_names() -> list[str]:
    """Return the names of the shipped class embeddings, e.g. ``cub_deep``."""
    return _names(_FOLDER, _EMBEDDING)


def taxonomy_names() -> list[str]:
    """Return the names of the shipped taxonomies, e.g. ``cub_deep``."""
    return _names(_FOLDER / "taxonomies", _TAXONOMY)


def embedding_path(name: str | Path) -> Path:
    """Return the file of the shipped class embeddings ``name``, or else ``name`` as a path.

    ``cub_deep``, ``cub_deep.unitsphere`` and ``cub_deep.unitsphere.npz`` are equivalent, unless a
    file with the last name exists.
    """
    if str(name).endswith(".npz") and os.path.exists(name):
        return Path(name)
    base = str(name).removesuffix(".npz").removesuffix(".unitsphere")
    return _FOLDER / f"{base}{_EMBEDDING}" if base in embedding_names() else Path(name)


def taxonomy_path(name: str | Path) -> Path:
    """Return the file of the shipped taxonomy ``name``, or else ``name`` as a path."""
    shipped = str(name) in taxonomy_names()
    return _FOLDER / "taxonomies" / f"{name}{_TAXONOMY}" if shipped else Path(name)


def _names(folder: Path, suffix: str) -> list[str]:
    return sorted(path.name.removesuffix(suffix) for path in folder.glob(f"*{suffix}"))
