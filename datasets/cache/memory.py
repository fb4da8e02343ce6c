"""The memory that is available to a process."""

import os
from pathlib import Path

_ROOT = Path("/")  # parent of /proc and /sys


def available_memory() -> int:
    """Return the bytes that are free or can be freed, within the limits of container and job.

    The result is 0 if the system does not provide them.
    """
    return max(0, int(min(_of_machine(), *map(_left, _groups()))))


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


def _groups() -> list[Path]:
    """Return the folders of the process's own control group and of all visible groups above it.

    Control groups (version 2) limit containers, jobs and services. If a container hides the own
    path, the topmost folder is that of the container.
    """
    try:
        lines = (_ROOT / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        lines = []
    top = _ROOT / "sys/fs/cgroup"
    own = top / next((line[4:] for line in lines if line.startswith("0::/")), "")
    return [folder for folder in (own, *own.parents) if folder.is_relative_to(top)]


def _left(group: Path) -> float:
    try:
        limit = int((group / "memory.max").read_text())  # a word if there is none
        used = int((group / "memory.current").read_text())
        fields = (group / "memory.stat").read_text().split()
        cached = int(fields[fields.index("inactive_file") + 1])  # used, but can be freed
    except (OSError, ValueError):
        return float("inf")
    return limit - used + cached
