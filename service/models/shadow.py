"""A second version that scores a sample of the traffic, for the metrics alone."""

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from service.errors import ServiceError
from service.models.loaded_model import LoadedModel
from service.scoring.types import ScoringRequest, ScoringResult

_log = logging.getLogger(__name__)

# Seconds after which a shadow's score is not waited for any more.
_TIMEOUT = 60.0

# Sampled requests beyond this many in flight are skipped, so that they never pile up.
_MAX_IN_FLIGHT = 8


@dataclass(frozen=True, slots=True)
class Differences:
    """The shadow's score minus the answered one, in raw logits, for candidates both scored."""

    answered_by: str
    shadow: str
    values: tuple[float, ...]


class Shadow:
    """Scores a sample of answered requests again with another model. Lives on the event loop.

    Args:
        report: called for every request that both models scored.
        chance: returns a number uniform in [0, 1).

    Attributes:
        loaded: the model that scores the sample; None while there is no shadow.
        sample_rate: the share of requests that it scores.
    """

    def __init__(
        self, report: Callable[[Differences], None], chance: Callable[[], float] = random.random
    ) -> None:
        self.loaded: LoadedModel | None = None
        self.sample_rate = 0.0
        self._report = report
        self._chance = chance
        self._running: set[asyncio.Task[None]] = set()

    def assign(self, loaded: LoadedModel | None, sample_rate: float) -> None:
        """From now on let `loaded` score this share of the requests; None ends the shadow."""
        self.loaded, self.sample_rate = loaded, sample_rate

    def maybe_score(self, ask: ScoringRequest, answered: ScoringResult) -> None:
        """Score an answered request again if it falls into the sample. The client never waits."""
        loaded = self.loaded
        if loaded is None or len(self._running) >= _MAX_IN_FLIGHT:
            return
        # A version is no shadow of itself.
        if loaded.key == f"{answered.model}@{answered.version}":
            return
        if self._chance() >= self.sample_rate:
            return
        task = asyncio.create_task(self._score(loaded, ask, answered))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def settled(self) -> None:
        """Return when no sampled request is in flight any more."""
        await asyncio.gather(*self._running)

    async def _score(
        self, loaded: LoadedModel, ask: ScoringRequest, answered: ScoringResult
    ) -> None:
        # Bulk priority, so that the sample never delays interactive requests.
        again = replace(ask, priority="bulk", timeout=_TIMEOUT)
        try:
            with loaded.used() as scorer:
                scored = await scorer.score(again)
        except ServiceError as error:
            _log.info("the shadow did not score: %s", error.code)
            return
        pairs = zip(answered.items(), scored.items(), strict=True)
        values = tuple(
            theirs.raw - ours.raw
            for ours, theirs in pairs
            if ours.raw is not None and theirs.raw is not None
        )
        self._report(Differences(f"{answered.model}@{answered.version}", loaded.key, values))
