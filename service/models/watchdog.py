"""Notices an engine that does not come back from a batch, and has its model loaded afresh."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable

from service.logs import with_facts
from service.models.loaded_model import LoadedModel

_log = logging.getLogger(__name__)

_LOOKS = 4
"""Times that it looks while a batch has time."""

_LONGEST_WAIT = 5.0
"""Seconds between two looks at most."""


class Watchdog:
    """Lives on the event loop.

    Args:
        timeout: seconds after which a batch is taken for hung.
        loaded: the models to watch.
        revive: called with one whose engine hangs, and awaited.
    """

    def __init__(
        self,
        timeout: float,
        loaded: Callable[[], Iterable[LoadedModel]],
        revive: Callable[[LoadedModel], Awaitable[None]],
    ) -> None:
        self._timeout = timeout
        self._loaded = loaded
        self._revive = revive

    async def watch(self) -> None:
        """Runs until it is cancelled."""
        while True:
            await asyncio.sleep(min(_LONGEST_WAIT, self._timeout / _LOOKS))
            for served in self._loaded():
                if served.running_for > self._timeout:
                    facts = with_facts({"model": served.key, "seconds": served.running_for})
                    _log.error("the engine hangs", extra=facts)
                    await self._revive(served)
