"""Gives memory that a large request has freed back to the system.

`scripts/serve` lets malloc keep what a forward frees, because the next one needs it again. What a
large request took would stay as well, and be missing in a container with a limit.
"""

import asyncio
import ctypes
import gc

# Bytes of a body from which memory is given back after its request.
LARGE = 1024 * 1024

# Seconds from the end of a request. Its last objects go a moment later, and of many large requests
# one after the other only the last one needs this.
_DELAY = 1.0


class Trimmer:
    """Calls `trim` soon after it was asked to, once for many requests. Lives on an event loop."""

    def __init__(self) -> None:
        self._timer: asyncio.TimerHandle | None = None
        self._again = False

    def trim_soon(self) -> None:
        # What ends while a trim is due may end too shortly before it, so another one follows.
        self._again = self._timer is not None
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_DELAY, self._begin)

    def _begin(self) -> None:
        self._timer = None
        if self._again:
            self.trim_soon()
        # Errors refer to the frames that they came through, and these to the body, in a cycle. What
        # is older than a large request need not be looked at.
        gc.collect(1)
        # On a thread, because it walks through all free memory. ctypes lets go of the interpreter.
        asyncio.get_running_loop().run_in_executor(None, trim)


def trim() -> None:
    """Give free memory back to the system; glibc alone can."""
    if give_back := getattr(ctypes.CDLL(None), "malloc_trim", None):
        give_back(0)
