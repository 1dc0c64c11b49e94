"""Notices an engine that hangs in a batch or has ended, and a text that is encoded for ever."""

import asyncio
from collections.abc import Callable, Iterable

from service.models.loaded_model import LoadedModel

# A hang is noticed at most this many seconds after the limit, and sooner with short limits.
_MAX_SECONDS_BETWEEN_CHECKS = 5.0
_CHECKS_PER_LIMIT = 4


async def watch_engines(
    max_seconds: float,
    models: Callable[[], Iterable[LoadedModel]],
    on_hang: Callable[[LoadedModel], None],
    on_end: Callable[[LoadedModel, str], None],
    encoding_for: Callable[[], float],
    on_encoding_hang: Callable[[], None],
) -> None:
    """Call `on_hang` for every model whose oldest batch runs longer than `max_seconds`.

    `on_hang` must abort the model, which ends its batches for this check, and so must `on_end`.
    Runs until cancelled.

    Args:
        on_end: called with the reason for every model whose engine has ended while it was idle.
        encoding_for: seconds for which the oldest piece of encoding has run.
        on_encoding_hang: called when that is longer than `max_seconds`, and again while it is.
    """
    while True:
        await asyncio.sleep(min(_MAX_SECONDS_BETWEEN_CHECKS, max_seconds / _CHECKS_PER_LIMIT))
        for loaded in models():
            if loaded.running_for > max_seconds:
                on_hang(loaded)
            elif reason := loaded.end_reason:
                on_end(loaded, reason)
        if encoding_for() > max_seconds:
            on_encoding_hang()
