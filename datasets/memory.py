"""How much memory a process may still take."""

import os
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")  # limits of containers


def available_memory() -> int:
    """Bytes that are free or can be freed, within the limit of the container if there is one."""
    return max(0, min(_of_machine(), _of_container()))


def _of_machine() -> int:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return 1024 * int(line.split()[1])
    except OSError:
        pass
    # Not Linux: half of all there is.
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


def _of_container() -> float:
    try:
        limit = int((_CGROUP / "memory.max").read_text())  # "max" without a limit
        used = int((_CGROUP / "memory.current").read_text())
        fields = (_CGROUP / "memory.stat").read_text().split()
        cached = int(fields[fields.index("inactive_file") + 1])
    except (OSError, ValueError):
        return float("inf")
    return limit - used + cached
