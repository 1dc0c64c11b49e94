"""One running service: loads its model, proves it, is ready, drains, ends."""

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor

from reward_model.release import ReleaseError
from service.admission import Admission
from service.backlog import Backlog
from service.batcher import Batcher, BatchReport
from service.encode import EncodePool
from service.engines import EngineUnavailable
from service.errors import Draining, NotReady
from service.golden import replay
from service.logs import with_facts
from service.metrics import Metrics, State
from service.model import Model, ModelOpener
from service.result_cache import ResultCache
from service.scorer import Scorer
from service.settings import Settings

_log = logging.getLogger(__name__)

_RETRY_WHILE_STARTING = 2
_ENGINE_GRACE = 2
"""Seconds that loading, or a batch which nobody awaits any more, may hold up the end."""
_CLOSE_GRACE = 15
"""Seconds that an engine may take to end its own processes, where it has any."""


class Service:
    """Made before there is an event loop; `start` and `close` are called on it.

    Attributes:
        refusal: set when what was asked for cannot be served, or not any more, so the process
            should end; says why.
        stuck: set by `close` when the engine thread still works; it would hold up the exit.
    """

    def __init__(self, settings: Settings, opener: ModelOpener) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.refusal: str | None = None
        self.stuck = False
        self._opener = opener
        self._admission = Admission(
            max_items=settings.max_queue_items, max_tokens=settings.max_queue_tokens
        )
        self._engine_thread = ThreadPoolExecutor(1, thread_name_prefix="engine")
        self._batch_threads = self._engine_thread
        self._encode_threads = ThreadPoolExecutor(settings.encode_threads, "encode")
        self._opened: Model | None = None
        self._model: Model | None = None
        self._batcher: Batcher | None = None
        self._scorer: Scorer | None = None
        self._fault: str | None = None
        self._draining = False
        self._starting: asyncio.Task[None]
        self.metrics.watch(self._admission, lambda: self.state)

    @property
    def state(self) -> State:
        if self._draining:
            return "draining"
        if self._scorer is not None:
            return "ready"
        return "failed" if self._fault else "loading"

    @property
    def unready(self) -> str | None:
        """Why no request would be scored now; None when one would be."""
        if self._draining:
            return "this server is shutting down"
        if self._scorer is None:
            return self._fault or "the model is being loaded and its golden scores replayed"
        return None

    @property
    def model(self) -> Model:
        """Raises `NotReady` until the model is loaded."""
        if self._model is None:
            raise NotReady(str(self.unready), retry_after=_RETRY_WHILE_STARTING)
        return self._model

    @property
    def scorer(self) -> Scorer:
        """Raises `NotReady` until golden scores were replayed, `Draining` from the drain on."""
        if self._draining:
            raise Draining(str(self.unready), retry_after=self._admission.retry_after("bulk"))
        if self._scorer is None:
            raise NotReady(str(self.unready), retry_after=_RETRY_WHILE_STARTING)
        return self._scorer

    def start(self) -> None:
        """Begin to become ready; the event loop is free meanwhile."""
        self._starting = asyncio.create_task(self._become_ready())

    async def started(self) -> None:
        """Returns when it is ready or never will be: see `unready`."""
        await asyncio.wait({self._starting})

    def begin_drain(self) -> None:
        """Refuse new scoring requests from now on; those admitted are finished."""
        self._draining = True
        self._admission.stop()

    @property
    def idle(self) -> bool:
        """Whether every request that was admitted is answered."""
        return self._admission.idle

    async def close(self) -> None:
        """Let the threads go, after the batch that may be running."""
        self._starting.cancel()
        await self.started()
        try:
            await self._let_engine_go()
        except TimeoutError:
            self.stuck = True
        for threads in (self._engine_thread, self._batch_threads, self._encode_threads):
            threads.shutdown(wait=False, cancel_futures=True)

    async def _become_ready(self) -> None:
        """Load, warm up, replay. A failure leaves it unready, with a reason."""
        try:
            model = await self._load()
            scorer = self._wire(model)
            await replay(model.release, scorer)
        except (ReleaseError, EngineUnavailable) as error:
            self.refusal = self._fault = str(error)
        except Exception as error:  # noqa: BLE001 - whatever it is, probes must be able to tell it
            self._fault = f"{type(error).__name__}: {error}"
            _log.error("not ready: %s", self._fault, exc_info=error)
        else:
            self._scorer = scorer
            _log.info("ready", extra=with_facts({"model": model.name}))

    async def _load(self) -> Model:
        loop = asyncio.get_running_loop()
        model = await loop.run_in_executor(self._engine_thread, self._open)
        for warning in model.release.warnings:
            _log.warning("%s", warning)
        await loop.run_in_executor(self._engine_thread, model.engine.warm_up)
        self.metrics.describe(model)
        self._model = model
        return model

    def _wire(self, model: Model) -> Scorer:
        settings = self.settings
        backlog = Backlog(
            batch_tokens=self._token_budget(model),
            max_wait=settings.max_wait_ms / 1000,
            bulk_patience=settings.bulk_patience_ms / 1000,
            shares_prefixes=model.engine.shares_prefixes,
        )
        if model.engine.batches_in_flight > 1:
            self._batch_threads = ThreadPoolExecutor(model.engine.batches_in_flight, "batch")
        self._batcher = Batcher(
            model.engine, backlog, self._batch_threads, report=self._observe, died=self._give_up
        )
        pool = EncodePool(model, self._encode_threads, at_once=settings.encode_threads)
        cache = ResultCache(settings.result_cache_bytes)
        self.metrics.watch_cache(cache)
        return Scorer(model, self._admission, pool, self._batcher, cache)

    def _token_budget(self, model: Model) -> int:
        asked, fit = self.settings.max_batch_tokens, model.engine.most_tokens
        budget = asked if fit is None else min(asked, fit)
        if budget < asked:
            _log.warning("batches hold %d tokens, not %d: memory has no room", budget, asked)
        self.metrics.set_budget(budget)
        return budget

    def _observe(self, report: BatchReport) -> None:
        # Batches that ran beside it got about as much done meanwhile.
        self._admission.note_speed(report.tokens * report.at_once, report.seconds)
        self.metrics.observe_batch(report)

    def _give_up(self, reason: str) -> None:
        self._scorer = None
        self._fault, self.refusal = reason, f"any more: {reason}"

    async def _let_engine_go(self) -> None:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(_ENGINE_GRACE):
            if self._batcher:
                await self._batcher.close()
            await loop.run_in_executor(self._engine_thread, _nothing)
        async with asyncio.timeout(_CLOSE_GRACE):
            await loop.run_in_executor(self._engine_thread, self._close_engine)

    def _open(self) -> Model:
        self._opened = self._opener(self.settings)
        return self._opened

    def _close_engine(self) -> None:
        """On the thread that opens it, so an engine that arrives when all is over is closed too."""
        if self._opened:
            self._opened.engine.close()


def _nothing() -> None:
    """Runs on the engine thread as soon as nothing is loaded or scored there any more."""
