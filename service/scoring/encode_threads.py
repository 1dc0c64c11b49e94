"""The threads that turn texts into tokens, for all models: interactive work does not wait for bulk.

An engine on a CPU computes on the cores that encoding needs, so a flood of bulk texts would make
every interactive answer slower long before it is the flood's turn.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from service.scheduling.queue import Priority

T = TypeVar("T")

_REST = 7.0
"""Times what a slice of bulk work took that no other one follows while interactive work is here."""


class EncodeThreads:
    """Lives on one event loop.

    Args:
        count: threads; bulk work leaves one of them to interactive work, if there are two.
        interactive: whether interactive work is under way, be it encoded or computed.
    """

    def __init__(self, count: int, interactive: Callable[[], bool]) -> None:
        self._threads = ThreadPoolExecutor(count, "encode")
        self._turn = asyncio.Semaphore(max(1, count - 1))
        self._interactive = interactive

    async def run(self, priority: Priority, work: Callable[[], T], *, rests: bool = False) -> T:
        """What `work` returns, on one of the threads; bulk work in slices, each of them short.

        Args:
            rests: whether bulk work takes cores away from the engine that computes for people.
        """
        loop = asyncio.get_running_loop()
        if priority == "interactive":
            return await loop.run_in_executor(self._threads, work)
        async with self._turn:
            began = time.monotonic()
            done = await loop.run_in_executor(self._threads, work)
            if rests and self._interactive():
                await asyncio.sleep(_REST * (time.monotonic() - began))
        return done

    def shutdown(self) -> None:
        """What has not begun never will."""
        self._threads.shutdown(wait=False, cancel_futures=True)
