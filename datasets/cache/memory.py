"""The memory that is available to a process."""

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

_ROOT = Path("/")  # parent of /proc and /sys


class _Cgroups(NamedTuple):
    """A version of Linux control groups, which limit containers, jobs and services."""

    folder: str  # folder of the topmost group visible to this process
    limit: str  # file with the limit in bytes; without one it may hold a word
    used: str  # file with the memory in use
    cached: str  # line of ``memory.stat`` with what is in use but can be freed


_V1 = _Cgroups(
    "sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"
)
_V2 = _Cgroups("sys/fs/cgroup", "memory.max", "memory.current", "inactive_file")


def available_memory() -> int:
    """Return the bytes that are free or can be freed, within the limits of container and job.

    The result is 0 if the system does not provide them.
    """
    in_groups = (_left(kind, folder) for kind, folder in _groups())
    return max(0, int(min(_of_machine(), *in_groups)))


def _of_machine() -> int:
    try:
        for line in (_ROOT / "proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return 1024 * int(line.split()[1])
    except OSError:
        pass
    try:  # not Linux: half of the total memory
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (AttributeError, OSError, ValueError):  # Windows has no such function
        return 0


def _groups() -> Iterator[tuple[_Cgroups, Path]]:
    """Yield the folders of the process's own group and of all visible groups above it.

    If a container hides the own path, the topmost folder is that of the container.
    """
    try:
        lines = (_ROOT / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        lines = []
    for line in ("::/", ":memory:/", *lines):  # like ``4:cpu,memory:/path``
        _, controllers, own = line.split(":", 2)
        in_v1 = "memory" in controllers.split(",")
        if in_v1 or not controllers:
            kind, parts = _V1 if in_v1 else _V2, PurePosixPath(own).parts[1:]
            for depth in range(len(parts) + 1) if ".." not in parts else (0,):
                yield kind, _ROOT.joinpath(kind.folder, *parts[:depth])


def _left(kind: _Cgroups, folder: Path) -> float:
    try:
        limit = int((folder / kind.limit).read_text())
        used = int((folder / kind.used).read_text())
        fields = (folder / "memory.stat").read_text().split()
        cached = int(fields[fields.index(kind.cached) + 1])
    except (OSError, ValueError):
        return float("inf")
    return limit - used + cached
