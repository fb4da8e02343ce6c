"""Has the C library keep memory that was freed, for the next training step."""

import ctypes
import os

# Numbers of mallopt's parameters, from glibc's malloc.h.
_SETTINGS = {
    "M_MMAP_MAX": (-4, 0),  # no large block is mapped by itself, and so returned when it is freed,
    "M_ARENA_MAX": (-8, 1),  # nor grows a heap of some thread, whose size is bounded;
    "M_TRIM_THRESHOLD": (-1, -1),  # nothing of the one heap is returned,
    "M_TOP_PAD": (-2, 1 << 26),  # and it grows by 64 MiB at a time
}


def keep_freed_memory() -> bool:
    """Sets up ``malloc`` for programs that need as much memory again and again.

    Otherwise glibc returns the activations of every training step to the system, which has to
    clear their pages anew in the next one: a quarter of the time of a step of resnet-110-wfc. Does
    nothing where ``MALLOC_…`` or ``GLIBC_TUNABLES`` in the environment say how it shall be, or
    without glibc.

    Returns:
        Whether anything was set.
    """
    if any(name.startswith("MALLOC_") or name == "GLIBC_TUNABLES" for name in os.environ):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt is None:
        return False
    return all([mallopt(*setting) for setting in _SETTINGS.values()])
