"""A second version that scores a sample of the traffic, for nobody but the metrics."""

import asyncio
import logging
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from service.errors import ServiceError
from service.models.loaded_model import LoadedModel
from service.scoring.types import Scored, ScoringRequest

_log = logging.getLogger(__name__)

_PATIENCE = 60.0
"""Seconds after which a shadow's score is not waited for any more."""

_AT_ONCE = 8
"""Requests that it may have; more of the sample are let pass, so that it can never pile up."""


@dataclass(frozen=True, slots=True)
class Differences:
    """Shadow's minus the answered score, in raw logits, of each candidate that both scored."""

    answered_by: str
    shadow: str
    values: tuple[float, ...]


class Shadow:
    """Off until it is cast; lives on the event loop.

    Args:
        report: called for every request that both scored.
        chance: uniform in [0, 1).
    """

    def __init__(
        self, report: Callable[[Differences], None], chance: Callable[[], float] = random.random
    ) -> None:
        self.served: LoadedModel | None = None
        self.share = 0.0
        self._report = report
        self._chance = chance
        self._running: set[asyncio.Task[None]] = set()

    def cast(self, served: LoadedModel | None, share: float) -> None:
        """From now on let `served` score this share of the requests; None ends it."""
        self.served, self.share = served, share

    def offer(self, ask: ScoringRequest, answered: Scored) -> None:
        """Maybe score a request again that was answered; costs the caller nothing."""
        served = self.served
        if served is None or len(self._running) >= _AT_ONCE or self._chance() >= self.share:
            return
        if (served.model.name, served.model.release.version) == (answered.model, answered.version):
            return
        task = asyncio.create_task(self._score(served, ask, answered))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def settled(self) -> None:
        """Returns when nothing is scored for it any more."""
        await asyncio.gather(*self._running)

    async def _score(self, served: LoadedModel, ask: ScoringRequest, answered: Scored) -> None:
        later = replace(ask, priority="bulk", timeout=_PATIENCE)
        try:
            with served.used() as scorer:
                scored = await scorer.score(later)
        except ServiceError as error:
            _log.info("the shadow did not score: %s", error.code)
            return
        values = tuple(_differences(answered, scored))
        self._report(Differences(f"{answered.model}@{answered.version}", served.key, values))


def _differences(answered: Scored, scored: Scored) -> Iterator[float]:
    for ours, theirs in zip(answered.items(), scored.items(), strict=True):
        if ours.raw is not None and theirs.raw is not None:
            yield theirs.raw - ours.raw
