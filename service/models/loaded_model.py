"""One loaded release with its engine and thread, its queue, its cache and its scorer."""

import asyncio
import logging
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

from service.models.golden import replay
from service.scheduling.admission import Admission
from service.scheduling.batcher import Batcher, BatchReport
from service.scheduling.queue import JobQueue
from service.scheduling.throughput import ThroughputEstimator
from service.scoring.encode_pool import EncodePool
from service.scoring.model import Model
from service.scoring.result_cache import ResultCache
from service.scoring.scorer import Scorer
from service.settings import Settings

_log = logging.getLogger(__name__)

# A batch may grow by this factor to keep candidates of one prompt together, because computing the
# prompt twice costs more. It is no more than 2, because other requests wait for the larger batch.
_GROWTH = 2

# Seconds that an engine may take to end its own processes, where it has any.
_CLOSE_GRACE = 15


class LoadedModel:
    """Loads a model, proves it, scores with it and unloads it. Lives on one event loop.

    Args:
        opener: reads and loads the model; runs on the engine's thread.
        report: called with this model after each of its batches.
        died: called with this model and the reason when its engine raises EngineDead.

    Attributes:
        throughput: how fast the model works, as its batches show.
        in_use: requests that it scores now.
        batch_tokens: new tokens that one batch may hold, known once the model is loaded.
    """

    def __init__(
        self,
        settings: Settings,
        opener: Callable[[], Model],
        *,
        admission: Admission,
        encode_pool: EncodePool,
        report: Callable[["LoadedModel", BatchReport], None],
        died: Callable[["LoadedModel", str], None],
    ) -> None:
        self.in_use = 0
        self.batch_tokens = 0
        self.throughput = ThroughputEstimator()
        self._settings = settings
        self._opener = opener
        self._admission = admission
        self._encode_pool = encode_pool
        self._report = report
        self._died = died
        self._engine_thread = ThreadPoolExecutor(1, thread_name_prefix="engine")
        self._batch_threads = self._engine_thread
        self._cache = ResultCache(settings.result_cache_bytes)
        self._last_use_ended = asyncio.Event()
        self._model: Model | None = None
        self._key = ""
        self._aborted = False
        self._batcher: Batcher | None = None
        self._scorer: Scorer | None = None

    @property
    def model(self) -> Model:
        assert self._model is not None, "load first"
        return self._model

    @property
    def scorer(self) -> Scorer:
        assert self._scorer is not None, "load first"
        return self._scorer

    @property
    def key(self) -> str:
        """The model's `name@version`, also when it is closed."""
        return self._key

    @property
    def cache_bytes(self) -> int:
        return self._cache.bytes

    @property
    def running_for(self) -> float:
        """Seconds since the engine got its oldest batch; 0 while it has none or is aborted."""
        return self._batcher.running_for if self._batcher else 0.0

    @property
    def end_reason(self) -> str | None:
        """Why its engine will never score again; None while it may, or after `abort`."""
        return self._model.engine.end_reason if self._model and not self._aborted else None

    async def load(self) -> None:
        """Open the model, warm it up, and replay its golden scores.

        Raises:
            ReleaseError, EngineUnavailable: the model must not or cannot be served.
            GoldenMismatch: it does not give the scores that its trainer saw.
        """
        loop = asyncio.get_running_loop()

        def open_model() -> Model:
            # Stored at once: when loading is cancelled meanwhile, `close` still finds the engine.
            self._model = opened = self._opener()
            self._key = f"{opened.name}@{opened.release.version}"
            return opened

        model = await loop.run_in_executor(self._engine_thread, open_model)
        for warning in model.release.warnings:
            _log.warning("%s", warning)
        await loop.run_in_executor(self._engine_thread, model.engine.warm_up)

        hints, asked = model.engine.batching, self._settings.max_batch_tokens
        wanted = asked or hints.full_speed_tokens
        largest = asked or _GROWTH * wanted
        limit = largest if hints.memory_limit_tokens is None else hints.memory_limit_tokens
        if limit < wanted:
            _log.warning("batches hold %d tokens, not %d: memory has no room", limit, wanted)
        self.batch_tokens = min(wanted, limit)
        queue = JobQueue(
            batch_tokens=self.batch_tokens,
            max_tokens=min(largest, limit),
            max_wait=self._settings.max_wait_ms / 1000,
            bulk_patience=self._settings.bulk_patience_ms / 1000,
            shares_prefixes=model.engine.facts.shares_prefixes,
        )
        if hints.batches_in_flight > 1:
            # Opening, warming up and closing stay on the engine thread.
            self._batch_threads = ThreadPoolExecutor(hints.batches_in_flight, "batch")
        self._batcher = Batcher(
            model.engine,
            queue,
            self._batch_threads,
            report=partial(self._report, self),
            died=partial(self._died, self),
        )
        parts = self.throughput, self._encode_pool, self._batcher, self._cache
        # The replay has an engine of its own, so it takes no room from the requests that wait for
        # other models, and needs none of theirs.
        unbounded = Admission(max_items=sys.maxsize, max_tokens=sys.maxsize)
        proven = Scorer(model, unbounded, *parts)
        await replay(model.release, proven, model.engine.facts.dtype)
        model.engine.serve()
        self._scorer = Scorer(model, self._admission, *parts)

    @contextmanager
    def used(self) -> Iterator[Scorer]:
        """Yield the scorer; the model is not unloaded while the block runs."""
        self.in_use += 1
        try:
            yield self.scorer
        finally:
            self.in_use -= 1
            if not self.in_use:
                self._last_use_ended.set()

    async def wait_unused(self) -> None:
        """Return when no request holds the model; call it once no new request can find it."""
        while self.in_use:
            self._last_use_ended.clear()
            await self._last_use_ended.wait()

    def abort(self) -> None:
        """Answer everything that this model holds with an error: its engine hangs or died."""
        self._aborted = True
        if self._batcher:
            self._batcher.abort()

    async def close(self, grace: float) -> bool:
        """End the batches, the engine and the threads.

        Args:
            grace: seconds that loading or a running batch may take to end.

        Returns:
            Whether the threads ended. One that did not would hold up the process's exit.
        """
        loop = asyncio.get_running_loop()

        def close_engine() -> None:
            # On the thread that opens it, so an engine that opens late is closed, too.
            if self._model:
                self._model.engine.close()

        try:
            async with asyncio.timeout(grace):
                if self._batcher:
                    await self._batcher.close()
                # This runs when nothing is loaded or scored on the engine thread any more.
                await loop.run_in_executor(self._engine_thread, lambda: None)
            async with asyncio.timeout(_CLOSE_GRACE):
                await loop.run_in_executor(self._engine_thread, close_engine)
        except TimeoutError:
            return False
        finally:
            for threads in (self._engine_thread, self._batch_threads):
                threads.shutdown(wait=False, cancel_futures=True)
            # Whoever still holds this object holds neither weights nor vocabulary with it.
            self._model = self._batcher = self._scorer = None
        return True
