"""Folders that no other user can write to, for files whose content is executed."""

import os
import stat
from pathlib import Path


def user_cache() -> Path:
    """Return the user's cache folder.

    Raises:
        RuntimeError: there is neither ``XDG_CACHE_HOME`` nor a home folder.
    """
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def own_folder(folder: Path) -> Path:
    """Create a folder if necessary, and check that it is safe to execute its files.

    Raises:
        OSError: it cannot be created, or other users can write to it or replace it.
    """
    folder = folder.resolve()  # symbolic links on the path could be replaced later
    for missing in reversed([path for path in (folder, *folder.parents) if not path.is_dir()]):
        missing.mkdir(mode=0o700, exist_ok=True)  # private whatever the umask
    user = os.geteuid()
    for path, owners in ((folder, {user}), *((parent, {user, 0}) for parent in folder.parents)):
        status = path.stat()
        # In a sticky folder such as /tmp, users can only replace their own files.
        is_sticky = path != folder and status.st_mode & stat.S_ISVTX
        is_open = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not is_sticky
        if status.st_uid not in owners or is_open:
            raise PermissionError(f"others can write to {path}")
    return folder
