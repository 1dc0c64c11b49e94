"""One running service: becomes ready, is ready, drains, ends."""

import asyncio
import logging
from functools import partial

from reward_model.release.release import ReleaseError
from service.engines.engine import EngineUnavailable
from service.errors import CannotLoad, Conflict, Draining, NotReady
from service.logs import with_facts
from service.models.catalogue import ModelCatalogue
from service.models.golden import GoldenMismatch
from service.models.loaded_model import LoadedModel
from service.models.loader import Loader, OtherVersion
from service.models.shadow import Shadow
from service.models.watchdog import Watchdog
from service.scheduling.admission import Admission
from service.scheduling.batcher import BatchReport
from service.scoring.encode_threads import EncodeThreads
from service.scoring.model import ModelOpener
from service.settings import Settings
from service.telemetry.metrics import Metrics, State

_log = logging.getLogger(__name__)

_RETRY_WHILE_STARTING = 2
_UNFIT = (ReleaseError, EngineUnavailable)
"""What asks for another checkpoint or other settings, so that starting again would not help."""

_MOST_HANGS = 3
"""Of one process; after that a fresh one is more likely to help."""

_EXPLAINED = (*_UNFIT, GoldenMismatch)
"""What is said in words for users."""


class Service:
    """Made before there is an event loop; `start` and `close` are called on it.

    Attributes:
        models: those that are loaded and proven.
        shadow: scores a sample of the traffic, once it is cast.
        refusal: set when what was asked for cannot be served, or not any more, so the process
            should end; says why.
    """

    def __init__(self, settings: Settings, opener: ModelOpener) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.models = ModelCatalogue()
        self.shadow = Shadow(self.metrics.observe_shadow)
        self.refusal: str | None = None
        self._opener = opener
        self._admission = Admission(
            max_items=settings.max_queue_items, max_tokens=settings.max_queue_tokens
        )
        self._encode_threads = EncodeThreads(
            settings.encode_threads, lambda: self._admission.items("interactive") > 0
        )
        self._loader = Loader(
            self.models,
            self.shadow,
            self.metrics,
            self._serving,
            batch_seconds=settings.engine_timeout_seconds,
        )
        self._parting: set[asyncio.Task[None]] = set()
        self._ready = False
        self._fault: str | None = None
        self._draining = False
        self._starting: asyncio.Task[None]
        self._changing = asyncio.Lock()
        self._revivals = 0
        self._watchdog = Watchdog(
            settings.engine_timeout_seconds, lambda: self._loader.held, self._revive
        )
        self._watching: asyncio.Task[None]
        self.metrics.watch(self._admission, lambda: self.state)
        self.metrics.watch_caches(lambda: sum(served.cache_bytes for served in self.models))

    @property
    def stuck(self) -> bool:
        """Whether an engine thread still works that was to be let go: it would hold up the exit."""
        return self._loader.stuck

    @property
    def state(self) -> State:
        if self._draining:
            return "draining"
        if self._ready:
            return "ready"
        return "failed" if self._fault else "loading"

    @property
    def unready(self) -> str | None:
        """Why no request would be scored now; None when one would be."""
        if self._draining:
            return "this server is shutting down"
        if not self._ready:
            return self._fault or "the model is being loaded and its golden scores replayed"
        return None

    def find(self, named: str | None) -> LoadedModel:
        """The model that a request names, to score with.

        Raises:
            NotReady: until golden scores were replayed.
            Draining: from the drain on.
            UnknownModel: no such model is loaded.
        """
        if self._draining:
            raise Draining(str(self.unready), retry_after=self._admission.emptied_after)
        if not self._ready:
            raise NotReady(str(self.unready), retry_after=_RETRY_WHILE_STARTING)
        return self.models.find(named)

    def start(self) -> None:
        """Begin to become ready; the event loop is free meanwhile."""
        self._starting = asyncio.create_task(self._become_ready())
        self._watching = asyncio.create_task(self._watchdog.watch())

    async def started(self) -> None:
        """Returns when it is ready or never will be: see `unready`."""
        await asyncio.wait({self._starting})

    async def load(self, source: str, name: str | None, *, current: bool) -> LoadedModel:
        """Load one more model beside the others; it serves when it is proven, not before.

        Args:
            current: whether requests for its name, without a version, get it from then on.

        Raises:
            NotReady: before the first ones are loaded, or while one is loaded again.
            CannotLoad: it cannot be served; nothing has changed.
            Conflict: that very version is loaded, or another is being loaded or unloaded.
        """
        if not self._ready:
            raise NotReady(str(self.unready), retry_after=_RETRY_WHILE_STARTING)
        if self._changing.locked():
            raise Conflict("another model is being loaded or unloaded: try again when it is done")
        async with self._changing:
            try:
                return await self._loader.add(self._settings_for(source, name), current=current)
            except Conflict:
                raise
            except Exception as error:
                _log.error("not loaded: %s", type(error).__name__, exc_info=error)
                reason = error if isinstance(error, _EXPLAINED) else type(error).__name__
                raise CannotLoad(f"not loaded, nothing has changed: {reason}") from error

    async def unload(self, key: str) -> None:
        """Let a version go when its requests are answered. Raises as `ModelCatalogue.remove`."""
        async with self._changing:
            await self._loader.part_with(self.models.remove(key))

    async def parted(self) -> None:
        """Returns when those are gone whose engines died."""
        await asyncio.gather(*self._parting)

    def begin_drain(self) -> None:
        """Refuse new scoring requests from now on; those admitted are finished."""
        self._draining = True
        self._admission.stop()

    @property
    def requests(self) -> int:
        """Requests that are being scored or wait for it."""
        return self._admission.requests

    @property
    def idle(self) -> bool:
        """Whether every request that was admitted is answered."""
        return self._admission.idle

    async def close(self) -> None:
        """Let the threads go, after the batches that may be running."""
        tasks = {self._starting, self._watching, *self._parting}
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await self._loader.close()
        self._encode_threads.shutdown()

    async def _become_ready(self) -> None:
        """Load, warm up, replay. A failure leaves it unready, with a reason."""
        sources = (self.settings.model, *self.settings.also_serve)
        try:
            for source in sources:
                await self._loader.add_first(self._settings_for(source))
        except _UNFIT as error:
            self.refusal = self._fault = str(error)
        except Exception as error:  # noqa: BLE001 - whatever it is, probes must be able to tell it
            self._fault = f"{type(error).__name__}: {error}"
            _log.error("not ready: %s", self._fault, exc_info=error)
        else:
            self._ready = True
            loaded = ", ".join(served.key for served in self.models)
            _log.info("ready", extra=with_facts({"models": loaded}))

    def _settings_for(self, source: str, name: str | None = None) -> Settings:
        """A name and a template are given for the first model alone."""
        if source == self.settings.model and name is None:
            return self.settings
        change = {"model": source, "model_name": name, "chat_template": None}
        return self.settings.model_copy(update=change)

    def _serving(self, settings: Settings) -> LoadedModel:
        return LoadedModel(
            settings,
            partial(self._opener, settings),
            admission=self._admission,
            encode_threads=self._encode_threads,
            report=self._observe,
            died=self._engine_died,
        )

    async def _revive(self, hung: LoadedModel) -> None:
        """Answer what a hung engine holds, and put the same model, loaded again, in its place.

        One that is on its way in or out is not missed.
        """
        self._loader.give_up(hung)
        if hung not in self.models:
            return
        self._ready, self._fault = False, "the engine hung; the model is being loaded again"
        self._revivals += 1
        if self._revivals == _MOST_HANGS:
            self._give_up(f"the engine hung {_MOST_HANGS} times")
            return
        try:
            await self._loader.replace(hung)
        except OtherVersion as error:
            self._give_up(f"the engine hung, and {error}")
        except Exception as error:  # noqa: BLE001 - it is logged, and the process ends over it
            _log.error("not loaded again: %s", type(error).__name__, exc_info=error)
            self._give_up(f"the engine hung and cannot be loaded again: {type(error).__name__}")
        else:
            self._ready = True

    def _observe(self, served: LoadedModel, report: BatchReport) -> None:
        # Side by side batches end one after the other, so the time between two ends is one's share.
        served.pace.note_batch(report.drained, report.busy)
        self.metrics.observe_batch(report, served.batch_tokens)

    def _engine_died(self, served: LoadedModel, reason: str) -> None:
        """Ends the service only for what requests get that name no version.

        One that is being loaded fails its golden scores; of one that is leaving no more is wanted.
        """
        if not self._starting.done() or self.models.is_current(served):
            self._give_up(reason)
        elif served in self.models:
            _log.error("the engine died", extra=with_facts({"model": served.key}))
            parting = self._loader.part_with(self.models.remove(served.key))
            self._parting.add(task := asyncio.create_task(parting))
            task.add_done_callback(self._parting.discard)

    def _give_up(self, reason: str) -> None:
        self._ready = False
        self._fault = self.refusal = reason
