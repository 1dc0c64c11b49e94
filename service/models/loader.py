"""Loads models and unloads them: proven before they are found, kept until their last request."""

import asyncio
import gc
from collections.abc import Callable

from service.allocator import trim
from service.errors import CannotLoad
from service.models.catalogue import ModelCatalogue
from service.models.loaded_model import LoadedModel
from service.models.shadow import Shadow
from service.settings import Settings

# Seconds that loading, or a batch that nobody awaits any more, may hold up the process's end.
_CLOSE_GRACE = 2.0

# Loading a model may take this many times the limit of a batch.
_LOADING_TIMEOUTS = 10


class Loader:
    """Lives on one event loop.

    Args:
        catalogue: receives the models that are proven.
        shadow: ends when its model is unloaded.
        make: makes the model that the settings name; it is not loaded yet.
        batch_seconds: a batch that takes longer is taken for hung.

    Attributes:
        stuck: whether an engine thread did not end; it would hold up the process's exit.
    """

    def __init__(
        self,
        catalogue: ModelCatalogue,
        shadow: Shadow,
        make: Callable[[Settings], LoadedModel],
        batch_seconds: float,
    ) -> None:
        self.stuck = False
        self._catalogue = catalogue
        self._shadow = shadow
        self._make = make
        self._batch_seconds = batch_seconds
        self._loading: set[LoadedModel] = set()
        self._unloading: set[LoadedModel] = set()

    @property
    def held(self) -> tuple[LoadedModel, ...]:
        """All models that may have an engine: in use, being loaded, or being unloaded."""
        return (*self._catalogue, *self._loading, *self._unloading)

    async def add_first(self, settings: Settings) -> None:
        """Load a model that the service starts with, however long it takes.

        One that fails is closed only by `close`, so that its reason is reported at once.
        """
        # The first version of a name is current in any case, and those after it are not.
        await self._add(self._make(settings), current=False)

    async def add(self, settings: Settings, *, current: bool) -> LoadedModel:
        """Load one more model beside the others. One that fails or takes too long is closed.

        Raises:
            CannotLoad: it took too long.
        """
        loaded = self._make(settings)
        limit = _LOADING_TIMEOUTS * self._batch_seconds
        try:
            async with asyncio.timeout(limit):
                await self._add(loaded, current=current)
        except TimeoutError as error:
            raise CannotLoad(
                f"it was not loaded within {limit:g} seconds, {_LOADING_TIMEOUTS} times "
                "--engine-timeout-seconds"
            ) from error
        finally:
            if loaded not in self._catalogue:
                await self._close(loaded, _CLOSE_GRACE)
        return loaded

    async def unload(self, loaded: LoadedModel) -> None:
        """Close a model that is out of the catalogue, when its last request is answered.

        Its memory is the system's again when this returns.
        """
        if loaded is self._shadow.loaded:
            self._shadow.assign(None, 0.0)
        self._unloading.add(loaded)
        await loaded.wait_unused()
        self._unloading.discard(loaded)
        await self._close(loaded, self._batch_seconds)
        await asyncio.to_thread(return_memory)

    async def close(self) -> None:
        """Close all models, after the batches that may be running."""
        await asyncio.gather(*(self._close(loaded, _CLOSE_GRACE) for loaded in self.held))

    async def _add(self, loaded: LoadedModel, *, current: bool) -> None:
        self._loading.add(loaded)
        await loaded.load()
        self._catalogue.add(loaded, current=current)
        self._loading.discard(loaded)

    async def _close(self, loaded: LoadedModel, grace: float) -> None:
        # A model is closed once only: a close that was cut off cannot be repeated.
        self._loading.discard(loaded)
        ended = False
        try:
            ended = await loaded.close(grace)
        finally:
            self.stuck = self.stuck or not ended


def return_memory() -> None:
    """Give the memory of what was closed back to the system, on a thread because it takes a while.

    Networks and tokenizers of libraries are full of objects that refer to each other, which only a
    collection finds; and malloc keeps what is freed, where nobody tells it not to.
    """
    gc.collect()
    trim()
