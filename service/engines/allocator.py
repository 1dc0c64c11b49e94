"""How malloc deals with what a forward on a CPU frees, where malloc is glibc's."""

import ctypes
import os

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
"""Of `mallopt(3)`, in glibc's malloc.h."""

_NEVER = 2**31 - 1


def keep_freed_memory() -> bool:
    """Let it stay with the process, from whose other memory the next forward takes it.

    It would go back to the system after every batch and come again page by page, with a fault for
    each: up to ten for a token computed. Call it before any thread starts, for what a thread has by
    then it keeps. Settings of malloc's that the environment brings stay as
    they are.

    Returns:
        Whether it will stay.
    """
    if any(name == "GLIBC_TUNABLES" or name.startswith("MALLOC_") for name in os.environ):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    # Threads' own arenas consist of pieces of 64 MB, which go back whole.
    settings = {_TRIM_THRESHOLD: _NEVER, _MMAP_THRESHOLD: _NEVER, _ARENA_MAX: 1}
    return all(mallopt(option, value) for option, value in settings.items())
