"""One release that is loaded: its engine and its thread, its queue, its cache, its scorer."""

import asyncio
import logging
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
from service.scoring.encode_threads import EncodeThreads
from service.scoring.model import Model
from service.scoring.result_cache import ResultCache
from service.scoring.scorer import Scorer
from service.settings import Settings

_log = logging.getLogger(__name__)

_GROWTH = 2
"""By which a batch may grow rather than tear relatives apart; others wait for that, too."""

_CLOSE_GRACE = 15
"""Seconds that an engine may take to end its own processes, where it has any."""


class LoadedModel:
    """Loads a model, proves it, scores with it, lets it go. Lives on one event loop.

    Args:
        opener: reads and loads the model; runs on the engine's thread.
        report: called with this model after each of its batches.
        died: called with this model, and the reason, when its engine says that it will never score
            again.

    Attributes:
        pace: how fast it works.
        in_use: requests that it scores now.
        batch_tokens: new tokens that one batch may hold, once it is loaded.
    """

    def __init__(
        self,
        settings: Settings,
        opener: Callable[[], Model],
        *,
        admission: Admission,
        encode_threads: EncodeThreads,
        report: Callable[["LoadedModel", BatchReport], None],
        died: Callable[["LoadedModel", str], None],
    ) -> None:
        self.in_use = 0
        self.batch_tokens = 0
        self.pace = ThroughputEstimator()
        self.settings = settings
        self._opener = opener
        self._admission = admission
        self._encode_threads = encode_threads
        self._report = report
        self._died = died
        self._engine_thread = ThreadPoolExecutor(1, thread_name_prefix="engine")
        self._batch_threads = self._engine_thread
        self._opened: Model | None = None
        self._cache = ResultCache(settings.result_cache_bytes)
        self._unused = asyncio.Event()
        self._hangs = False
        self._batcher: Batcher | None = None
        self._scorer: Scorer | None = None

    @property
    def model(self) -> Model:
        assert self._opened is not None, "loaded first"
        return self._opened

    @property
    def scorer(self) -> Scorer:
        assert self._scorer is not None, "loaded first"
        return self._scorer

    @property
    def key(self) -> str:
        """`name@version`."""
        return f"{self.model.name}@{self.model.release.version}"

    async def load(self) -> None:
        """Load, warm up, and replay the golden scores.

        Raises:
            ReleaseError, EngineUnavailable: it must not or cannot be served.
            GoldenMismatch: it does not score as its trainer saw.
        """
        loop = asyncio.get_running_loop()
        model = await loop.run_in_executor(self._engine_thread, self._open)
        for warning in model.release.warnings:
            _log.warning("%s", warning)
        await loop.run_in_executor(self._engine_thread, model.engine.warm_up)
        self._scorer = self._wire(model)
        await replay(model.release, self._scorer)

    async def close(self, grace: float) -> bool:
        """Let the threads go, after the batch that may be running.

        Args:
            grace: seconds that loading or such a batch may take.

        Returns:
            Whether they went; one that did not would hold up the process's exit.
        """
        if self._hangs:
            return False
        try:
            await self._let_engine_go(grace)
        except TimeoutError:
            return False
        finally:
            for threads in (self._engine_thread, self._batch_threads):
                threads.shutdown(wait=False, cancel_futures=True)
        return True

    @contextmanager
    def used(self) -> Iterator[Scorer]:
        """Its scorer, which is not let go while the block runs."""
        self.in_use += 1
        try:
            yield self.scorer
        finally:
            self.in_use -= 1
            if not self.in_use:
                self._unused.set()

    async def unused(self) -> None:
        """Returns when no request has it; of use when none can find it any more."""
        while self.in_use:
            self._unused.clear()
            await self._unused.wait()

    @property
    def running_for(self) -> float:
        """Seconds that the engine has had its oldest batch; 0 while it has none."""
        return self._batcher.running_for if self._batcher and not self._hangs else 0.0

    def give_up(self) -> None:
        """The engine hangs: answer what it has, and leave it and its threads to themselves."""
        assert self._batcher is not None, "something runs"
        if self._hangs:
            return
        self._hangs = True
        self._batcher.give_up()
        for threads in (self._engine_thread, self._batch_threads):
            threads.shutdown(wait=False, cancel_futures=True)

    @property
    def cache_bytes(self) -> int:
        return self._cache.bytes

    def _wire(self, model: Model) -> Scorer:
        settings = self.settings
        self.batch_tokens, most_tokens = self._token_budgets(model)
        backlog = JobQueue(
            batch_tokens=self.batch_tokens,
            most_tokens=most_tokens,
            max_wait=settings.max_wait_ms / 1000,
            bulk_patience=settings.bulk_patience_ms / 1000,
            shares_prefixes=model.engine.facts.shares_prefixes,
        )
        if model.engine.batching.batches_in_flight > 1:
            count = model.engine.batching.batches_in_flight
            self._batch_threads = ThreadPoolExecutor(count, "batch")
        self._batcher = Batcher(
            model.engine,
            backlog,
            self._batch_threads,
            report=partial(self._report, self),
            died=partial(self._died, self),
        )
        pool = EncodePool(model, self._encode_threads, at_once=settings.encode_threads)
        return Scorer(model, self._admission, self.pace, pool, self._batcher, self._cache)

    def _token_budgets(self, model: Model) -> tuple[int, int]:
        """New tokens of a batch, and of one that keeps relatives together."""
        hints = model.engine.batching
        asked = self.settings.max_batch_tokens or hints.full_speed_tokens
        most = self.settings.max_batch_tokens or _GROWTH * asked
        fit = most if hints.memory_limit_tokens is None else hints.memory_limit_tokens
        if fit < asked:
            _log.warning("batches hold %d tokens, not %d: memory has no room", fit, asked)
        return min(asked, fit), min(most, fit)

    async def _let_engine_go(self, grace: float) -> None:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(grace):
            if self._batcher:
                await self._batcher.close()
            await loop.run_in_executor(self._engine_thread, _nothing)
        async with asyncio.timeout(_CLOSE_GRACE):
            await loop.run_in_executor(self._engine_thread, self._close_engine)

    def _open(self) -> Model:
        self._opened = self._opener()
        return self._opened

    def _close_engine(self) -> None:
        """On the thread that opens it, so an engine that arrives when all is over is closed too."""
        if self._opened:
            self._opened.engine.close()


def _nothing() -> None:
    """Runs on the engine thread as soon as nothing is loaded or scored there any more."""
