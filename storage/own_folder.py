"""Folders in which nobody else may write: what is read there is run."""

import os
import stat
from pathlib import Path


def user_cache() -> Path:
    """Return the folder of the user's caches.

    Raises:
        RuntimeError: there is neither ``XDG_CACHE_HOME`` nor a home.
    """
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def own_folder(folder: Path) -> Path:
    """Return a folder, which is made if it does not exist, once it is safe to run its files.

    Raises:
        OSError: it cannot be made, or others can write to it.
    """
    folder = folder.absolute()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = folder.stat()
    if status.st_uid != os.geteuid() or status.st_mode & 0o022:
        raise PermissionError(f"others can write to {folder}")
    for parent in folder.resolve().parents:
        mode = parent.stat().st_mode
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:  # they could replace the folder
            raise PermissionError(f"others can write to {parent}")
    return folder
