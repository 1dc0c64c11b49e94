"""Brings models in and lets them go: loaded and proven first, used to their last request."""

import asyncio
from collections.abc import Callable

from service.models.catalogue import ModelCatalogue
from service.models.golden import GoldenMismatch
from service.models.loaded_model import LoadedModel
from service.models.shadow import Shadow
from service.settings import Settings
from service.telemetry.metrics import Metrics

_ENGINE_GRACE = 2.0
"""Seconds that loading, or a batch which nobody awaits any more, may hold up the end."""

_LOADING_TIMES = 10
"""Times a batch's limit that loading a model may take before it is given up."""


class OtherVersion(Exception):
    """Where a model was loaded from there is another one now; the message names both."""


class Loader:
    """Lives on one event loop.

    Args:
        models: where those are put that are proven.
        shadow: of one of them, perhaps; it follows that one.
        make: what is to be loaded as the settings say.
        batch_seconds: after which a batch is taken for hung.

    Attributes:
        stuck: whether an engine thread still works that was to be let go; it would hold up the
            process's exit.
    """

    def __init__(
        self,
        models: ModelCatalogue,
        shadow: Shadow,
        metrics: Metrics,
        make: Callable[[Settings], LoadedModel],
        batch_seconds: float,
    ) -> None:
        self.stuck = False
        self._models = models
        self._shadow = shadow
        self._metrics = metrics
        self._make = make
        self._batch_seconds = batch_seconds
        self._coming: set[LoadedModel] = set()
        self._leaving: set[LoadedModel] = set()

    @property
    def held(self) -> tuple[LoadedModel, ...]:
        """All that may have an engine: those in use, on their way in, on their way out."""
        return (*self._models, *self._coming, *self._leaving)

    async def add_first(self, settings: Settings) -> None:
        """Load what the service begins with, however long it takes.

        One that fails is held until `close`: what it failed for is told at once.
        """
        await self._add(self._make(settings), current=True)

    async def add(self, settings: Settings, *, current: bool) -> LoadedModel:
        """Load one more beside the others. One that fails, or is not there in time, is let go."""
        served = self._make(settings)
        try:
            async with self._loading_time():
                await self._add(served, current=current)
        finally:
            if served not in self._models:
                await self._let_go(served)
        return served

    def give_up(self, hung: LoadedModel) -> None:
        """Answer what a hung engine holds, and leave it to itself."""
        self.stuck = True
        hung.give_up()

    async def replace(self, hung: LoadedModel) -> None:
        """Put the same version, loaded again from the same place, where the hung one is.

        Raises:
            OtherVersion: there is another one now.
        """
        fresh = self._make(hung.settings)
        async with self._loading_time():
            await self._prove(fresh)
        if fresh.key != hung.key:
            raise OtherVersion(f"where {hung.key} was loaded from there is {fresh.key} now")
        if hung in self._models:
            self._put_in_place(hung, fresh)
        else:
            await self._let_go(fresh)

    async def part_with(self, served: LoadedModel) -> None:
        """Let go what nobody finds any more, when the requests that have it are answered."""
        if served is self._shadow.served:
            self._shadow.cast(None, 0.0)
        self._metrics.forget(served.model)
        self._leaving.add(served)
        await served.unused()
        self._leaving.discard(served)
        await self._let_go(served, grace=self._batch_seconds)

    async def close(self) -> None:
        """Let all go, after the batches that may be running."""
        await asyncio.gather(*map(self._let_go, self.held))

    async def _add(self, served: LoadedModel, *, current: bool) -> None:
        await self._prove(served)
        self._models.add(served, current=current)
        self._coming.discard(served)
        self._metrics.describe(served.model)
        self._metrics.measure(served.model, served.batch_tokens, served.pace)

    async def _prove(self, served: LoadedModel) -> None:
        """Load it; it is held as one that comes until it is in its place or let go."""
        self._coming.add(served)
        try:
            await served.load()
        except GoldenMismatch:
            self._metrics.note_golden_mismatch()
            raise

    def _put_in_place(self, hung: LoadedModel, fresh: LoadedModel) -> None:
        self._models.replace(hung, fresh)
        self._coming.discard(fresh)
        if self._shadow.served is hung:
            self._shadow.cast(fresh, self._shadow.share)
        self._metrics.measure(fresh.model, fresh.batch_tokens, fresh.pace)

    async def _let_go(self, served: LoadedModel, *, grace: float = _ENGINE_GRACE) -> None:
        """Once for each: what was cut off while it closed cannot be closed again."""
        self._coming.discard(served)
        went = False
        try:
            went = await served.close(grace)
        finally:
            self.stuck = self.stuck or not went

    def _loading_time(self) -> asyncio.Timeout:
        return asyncio.timeout(_LOADING_TIMES * self._batch_seconds)
