"""How much memory a process may still take."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

_ROOT = Path("/")  # of the system's own files


@dataclass(frozen=True)
class _Cgroups:
    """A version of Linux' control groups, which limit containers, jobs and services.

    Attributes:
        folder: of the topmost group that this process sees.
        limit: name of the file with the limit in bytes; without one it may hold a word.
        used: that of the memory in use.
        cached: the line of ``memory.stat`` with what is in use but can be freed.
    """

    folder: str
    limit: str
    used: str
    cached: str


_V1 = _Cgroups(
    "sys/fs/cgroup/memory",
    "memory.limit_in_bytes",
    "memory.usage_in_bytes",
    "total_inactive_file",
)
_V2 = _Cgroups("sys/fs/cgroup", "memory.max", "memory.current", "inactive_file")


def available_memory() -> int:
    """Return the bytes that are free or can be freed, within the limits of container and job.

    0 where the system does not tell.
    """
    return max(0, int(min(_of_machine(), _of_groups())))


def _of_machine() -> int:
    try:
        for line in (_ROOT / "proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return 1024 * int(line.split()[1])
    except OSError:
        pass
    try:  # not Linux: half of all there is
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (AttributeError, OSError, ValueError):  # Windows has no such function
        return 0


def _of_groups() -> float:
    """Return the least that is left in any of the groups of this process."""
    return min((_left(kind, folder) for kind, folder in _groups()), default=float("inf"))


def _groups() -> Iterator[tuple[_Cgroups, Path]]:
    """Yield the folder of the process's own group and of all visible ones above it.

    Where a container hides the own path, the topmost folder is that of the container.
    """
    for kind, own in ({_V1: "/", _V2: "/"} | _own_groups()).items():
        parts = PurePosixPath(own).parts[1:]
        for depth in range(len(parts) + 1) if ".." not in parts else (0,):
            yield kind, _ROOT.joinpath(kind.folder, *parts[:depth])


def _own_groups() -> dict[_Cgroups, str]:
    """Read the path of the process's group, by version, from lines like ``4:cpu,memory:/path``."""
    found = {}
    try:
        lines = (_ROOT / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return found
    for line in lines:
        number, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            found[_V1] = path
        elif number == "0" and not controllers:
            found[_V2] = path
    return found


def _left(kind: _Cgroups, folder: Path) -> float:
    try:
        limit = int((folder / kind.limit).read_text())
        used = int((folder / kind.used).read_text())
        fields = (folder / "memory.stat").read_text().split()
        cached = int(fields[fields.index(kind.cached) + 1])
    except (OSError, ValueError):
        return float("inf")
    return limit - used + cached
