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
        OSError: it cannot be made, or others can write to it or replace it.
    """
    folder = folder.resolve()  # links on the way could be replaced later
    for missing in reversed([path for path in (folder, *folder.parents) if not path.is_dir()]):
        missing.mkdir(mode=0o700, exist_ok=True)  # whatever the umask lets a group do
    user = os.geteuid()
    for path, owners in ((folder, {user}), *((parent, {user, 0}) for parent in folder.parents)):
        status = path.stat()
        # In a sticky folder like /tmp, others cannot replace what is not theirs.
        is_sticky = path != folder and status.st_mode & stat.S_ISVTX
        is_open = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not is_sticky
        if status.st_uid not in owners or is_open:
            raise PermissionError(f"others can write to {path}")
    return folder
