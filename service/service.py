"""One running service: it loads its models, is ready, drains and ends."""

import asyncio
import logging
import time
import traceback
from functools import partial

from reward_model.release.release import ReleaseError
from service.engines.engine import EngineUnavailable
from service.errors import CannotLoad, Conflict, Draining, NotReady
from service.logs import with_facts
from service.models.catalogue import ModelCatalogue
from service.models.failures import explain_failure
from service.models.golden import GoldenMismatch
from service.models.loaded_model import LoadedModel
from service.models.loader import Loader, return_memory
from service.models.shadow import Shadow
from service.models.trial import Trial
from service.models.watchdog import watch_engines
from service.scheduling.admission import Admission
from service.scheduling.batcher import BatchReport
from service.scoring.encode_pool import EncodePool
from service.scoring.model import ModelOpener
from service.settings import Settings
from service.telemetry.metrics import Metrics, State

_log = logging.getLogger(__name__)

# Loading takes seconds to minutes, so a client that retries this often loses little.
_RETRY_WHILE_STARTING = 2

_ENCODING_ENDS_WITHIN = 2.0
"""Seconds that closing waits for texts that are being encoded; nobody waits for their results."""

# After these errors a restart would not help: the checkpoint or the settings must change.
_UNFIT = (ReleaseError, EngineUnavailable, Conflict)


class Service:
    """The models of one process, from loading them to draining them.

    It is created before the event loop exists; everything else is called on that loop.

    Args:
        opener: reads and loads the model that the settings name; runs on the engine's thread.
        trial: tries every model that is loaded later, before `opener` sees it.

    Attributes:
        catalogue: the models that are loaded and proven.
        admission: bounds the work in flight, over all models.
        shadow: scores a sample of the traffic once a model is assigned to it.
        leaving: whether the process is about to end; it scores until `begin_drain`.
        refusal: why the process should end with exit code 1; None while it should go on.
        failure: why the first models are not loaded, for operators; None if they are, or may be.
    """

    def __init__(self, settings: Settings, opener: ModelOpener, trial: Trial | None = None) -> None:
        self.settings = settings
        self.leaving = False
        self.refusal: str | None = None
        self.failure: str | None = None
        self.catalogue = ModelCatalogue()
        self.metrics = Metrics(self.catalogue)
        self.shadow = Shadow(self.metrics.observe_shadow)
        self.admission = Admission(
            max_items=settings.max_queue_items, max_tokens=settings.max_queue_tokens
        )
        self._opener = opener
        self._trial = trial
        self._encode_pool = EncodePool(
            settings.encode_threads, lambda: self.admission.items("interactive") > 0
        )
        self._loader = Loader(
            self.catalogue,
            self.shadow,
            self._make_model,
            batch_seconds=settings.engine_timeout_seconds,
        )
        self._ready = False
        self._draining = False
        # Why the service is not ready, as anybody may read it who can reach the port: without
        # paths and messages, which are in the log. Unlike `refusal`, it lets the process live, so
        # that probes and the log can be read: a golden mismatch, for example, needs a person.
        self._fault: str | None = None
        # Only one model at a time is loaded, so that memory is needed for one at most.
        self._loading = asyncio.Lock()
        self._starting: asyncio.Task[None]
        self._watching: asyncio.Task[None]
        self._unloading: set[asyncio.Task[None]] = set()
        self.metrics.watch(self.admission, lambda: self.state)

    @property
    def stuck(self) -> bool:
        """Whether a thread did not end, so that a usual exit would wait for it."""
        return self._loader.stuck or self._encode_pool.running_for > 0

    @property
    def state(self) -> State:
        if self.leaving:
            return "draining"
        if self._ready:
            return "ready"
        return "failed" if self._fault else "loading"

    @property
    def unready(self) -> str | None:
        """Why no request should be sent here now; None when one would be scored."""
        if self.leaving:
            return "this server is shutting down"
        if not self._ready:
            return self._fault or "the model is being loaded and its golden scores replayed"
        return None

    def find(self, named: str | None) -> LoadedModel:
        """Find the model that a request names, to score with.

        Raises:
            NotReady: the models are not loaded and proven yet.
            Draining: the service is about to end.
            UnknownModel: no such model is loaded.
        """
        if self._draining:
            raise Draining(str(self.unready), retry_after=self.admission.emptied_after)
        if not self._ready:
            raise NotReady(str(self.unready), retry_after=_RETRY_WHILE_STARTING)
        return self.catalogue.find(named)

    def start(self) -> None:
        """Load the first models and watch all engines, in tasks of their own."""
        limit = self.settings.engine_timeout_seconds

        def fail_hung(loaded: LoadedModel) -> None:
            self._fail(loaded, f"did not come back from a batch within {limit:g} seconds.")

        self._starting = asyncio.create_task(self._become_ready())
        # Models that are being loaded or unloaded are watched as well: golden replays and last
        # requests run batches, too.
        self._watching = asyncio.create_task(
            watch_engines(
                limit,
                lambda: self._loader.held,
                fail_hung,
                self._fail_ended,
                lambda: self._encode_pool.running_for,
                self._fail_encoding,
            )
        )

    async def started(self) -> None:
        """Return when the first models are loaded or have failed; `unready` tells which."""
        await asyncio.wait({self._starting})

    async def load(self, source: str, name: str | None, *, current: bool) -> LoadedModel:
        """Load one more model beside the others; requests find it when it is proven, not before.

        Args:
            current: whether requests for its name, without a version, get it from then on.

        Raises:
            NotReady: the first models are not loaded yet.
            CannotLoad: the model cannot be served; nothing has changed.
            Conflict: that very version is loaded, or another one is being loaded.
        """
        if not self._ready:
            raise NotReady(str(self.unready), retry_after=_RETRY_WHILE_STARTING)
        # The other load may take minutes, so this request is refused instead of waiting for it.
        if self._loading.locked():
            raise Conflict("another model is being loaded: try again when it is done")
        async with self._loading:
            try:
                settings = self._settings_for(source, name)
                if self._trial:
                    await self._trial(settings)
                return await self._loader.add(settings, current=current)
            except (Conflict, asyncio.CancelledError):
                raise
            except BaseException as error:
                # A panic of a library in Rust is no Exception.
                reason = self._note_failed_load(error)
                # The frames of the failure hold what was loaded so far.
                failed: BaseException | None = error
                while failed:
                    traceback.clear_frames(failed.__traceback__)
                    failed = failed.__cause__ or failed.__context__
                await asyncio.to_thread(return_memory)
                raise CannotLoad(f"not loaded, nothing has changed: {reason}") from error

    async def unload(self, key: str) -> None:
        """Unload a version when its requests are answered. Raises as `ModelCatalogue.remove`."""
        # It does not wait for a load, which may take minutes and not end at all.
        await self._loader.unload(self.catalogue.remove(key))

    def leave(self) -> None:
        """Be unready, so that clients are sent elsewhere, and go on scoring for those who come."""
        self.leaving = True

    def begin_drain(self) -> None:
        """Refuse new scoring requests from now on; those admitted are finished."""
        self.leaving = self._draining = True
        self.admission.stop()

    async def close(self) -> None:
        """End all threads, after the batches that may be running."""
        tasks = {self._starting, self._watching, *self._unloading}
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await self._loader.close()
        self._encode_pool.shutdown()
        # What the threads still encode ends in a moment. Where it does not, the process is `stuck`.
        waited_until = time.monotonic() + _ENCODING_ENDS_WITHIN
        while self._encode_pool.running_for and time.monotonic() < waited_until:  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    async def _become_ready(self) -> None:
        """Load and prove the first models. A failure leaves the service unready, with a reason."""
        try:
            for source in (self.settings.model, *self.settings.also_serve):
                await self._loader.add_first(self._settings_for(source))
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001 - a panic of a library in Rust, too
            # An engine that failed meanwhile is the cause of this error, and the better reason.
            self._fault = self._fault or (
                f"the model is not served ({type(error).__name__}); this server's log says why"
            )
            self.failure = self._note_failed_load(error)
            if isinstance(error, _UNFIT):
                self.refusal = self.failure
        else:
            self._ready = self.refusal is None
            models = ", ".join(loaded.key for loaded in self.catalogue)
            _log.info("ready", extra=with_facts({"models": models}))

    def _note_failed_load(self, error: BaseException) -> str:
        """Log and count why a model is not loaded; return the reason."""
        reason = explain_failure(error)
        _log.error("a model is not loaded: %s", reason, exc_info=error)
        if isinstance(error, GoldenMismatch):
            self.metrics.note_golden_mismatch()
        return reason

    def _settings_for(self, source: str, name: str | None = None) -> Settings:
        # A name, a template, a length and criteria in the settings are for the first model alone.
        if source == self.settings.model and name is None:
            return self.settings
        change = {"model": source, "model_name": name, "chat_template": None, "max_tokens": None}
        change["criteria"] = None
        return self.settings.model_copy(update=change)

    def _make_model(self, settings: Settings) -> LoadedModel:
        return LoadedModel(
            settings,
            partial(self._opener, settings),
            admission=self.admission,
            encode_pool=self._encode_pool,
            report=self._observe_batch,
            died=self._fail_ended,
        )

    def _observe_batch(self, loaded: LoadedModel, report: BatchReport) -> None:
        # Batches that run side by side end one after the other, so the time between two ends is
        # one batch's share.
        loaded.throughput.note_batch(report.admitted_tokens, report.busy_seconds)
        self.metrics.observe_batch(report, loaded.batch_tokens)

    def _fail_encoding(self) -> None:
        """End, because a thread of the encode pool does not come back, and nothing else ends it."""
        limit = self.settings.engine_timeout_seconds
        message = f"Encoding a text did not end within {limit:g} seconds."
        if self.refusal is None:
            _log.error("encoding hangs", extra=with_facts({"reason": message}))
        self._ready = False
        self._fault = "encoding hangs; the process ends, to be started afresh"
        self.refusal = f"{message} The process ends, to be started afresh."

    def _fail_ended(self, loaded: LoadedModel, reason: str) -> None:
        self._fail(loaded, f"died. {reason}")

    def _fail(self, loaded: LoadedModel, event: str) -> None:
        """Answer what a failed engine holds and take its version out; end if it is current.

        An engine is never revived inside the process: only a fresh process is sure to have its
        threads, its memory and its GPU back.
        """
        message = f"The engine of {loaded.key} {event}"
        _log.error("the engine failed", extra=with_facts({"model": loaded.key, "reason": message}))
        loaded.abort()
        # Without a current version, requests for its name would fail until somebody noticed; a
        # supervisor that restarts the process is faster.
        if not self._starting.done() or self.catalogue.is_current(loaded):
            self._ready = False
            self._fault = "an engine failed; the process ends, to be started afresh"
            self.refusal = f"{message} The process ends, to be started afresh."
        elif loaded in self.catalogue:
            unloading = self._loader.unload(self.catalogue.remove(loaded.key))
            self._unloading.add(task := asyncio.create_task(unloading))
            task.add_done_callback(self._unloading.discard)
        # Any other model is being loaded, so its golden replay fails and it is closed, or is being
        # unloaded already.
