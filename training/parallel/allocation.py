"""Make the C library keep freed memory for the next training step."""

import ctypes
import os

# Numbers of mallopt's parameters, from glibc's malloc.h.
_SETTINGS = {
    "M_MMAP_MAX": (-4, 0),  # do not map large blocks separately, which free() would unmap
    "M_ARENA_MAX": (-8, 1),  # use one heap; those of other threads are limited in size
    "M_TRIM_THRESHOLD": (-1, -1),  # never return memory from the top of the heap
    "M_TOP_PAD": (-2, 1 << 26),  # grow the heap by 64 MiB at a time
}


def keep_freed_memory() -> bool:
    """Configure ``malloc`` for a program that needs the same memory again and again.

    By default, glibc returns the memory of a step's activations to the system, which must clear the
    pages again for the next step; this takes a quarter of each step of resnet-110-wfc. See
    https://man7.org/linux/man-pages/man3/mallopt.3.html.
    ``MALLOC_…`` and ``GLIBC_TUNABLES`` in the environment take precedence. Without glibc, this does
    nothing.

    Returns:
        Whether anything was set.
    """
    if any(name.startswith("MALLOC_") or name == "GLIBC_TUNABLES" for name in os.environ):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt is None:
        return False
    return all([mallopt(*setting) for setting in _SETTINGS.values()])
