"""Admit, encode, submit, calibrate: with a real batcher and threads around a fake engine."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from reward_model.packing import Sequence, new_tokens
from reward_model.text.chat import Message
from service.errors import DeadlineExceeded, QueueFull
from service.scheduling.admission import Admission
from service.scheduling.batcher import Batcher
from service.scheduling.queue import JobQueue
from service.scheduling.throughput import ThroughputEstimator
from service.scoring.encode_pool import EncodePool
from service.scoring.result_cache import ResultCache
from service.scoring.scorer import Scorer
from service.scoring.types import ItemScore, ScoringRequest, TokenIds, chats
from tests.service.fakes import CALIBRATION, MAX_TOKENS, FakeEngine, GatedEngine, encode, model

ROOT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True)
class Running:
    scorer: Scorer
    admission: Admission


@asynccontextmanager
async def scoring(
    engine: FakeEngine, *, batch_tokens: int = 1000, max_items: int = 100, cache_bytes: int = 0
) -> AsyncIterator[Running]:
    queue = JobQueue(
        batch_tokens=batch_tokens,
        max_wait=0.0,
        bulk_patience=1.0,
        shares_prefixes=engine.facts.shares_prefixes,
    )
    admission = Admission(max_items=max_items, max_tokens=10_000)
    throughput, cache = ThroughputEstimator(), ResultCache(cache_bytes)
    pool = EncodePool(2, lambda: False)
    with ThreadPoolExecutor(1) as thread:
        batcher = Batcher(engine, queue, thread)
        scorer = Scorer(model(engine), admission, throughput, pool, batcher, cache)
        yield Running(scorer, admission)
        await batcher.close()
    pool.shutdown()


def request(prompt: str, *candidates: str, timeout: float | None = None) -> ScoringRequest:
    return ScoringRequest((chats((Message("user", prompt),), candidates),), timeout=timeout)


async def test_scores_come_back_in_the_order_asked_and_calibrated() -> None:
    async with scoring(FakeEngine()) as running:
        scored = await running.scorer.score(request("prompt", "zzz", "a", "mm"))
    raw = [9.0, 7.0, 8.0]
    assert scored.items() == [
        ItemScore(tokens=int(score), raw=score, normalized=CALIBRATION.apply(score))
        for score in raw
    ]


async def test_the_limit_of_the_queue_holds_for_tokenizing_too() -> None:
    async with scoring(FakeEngine(), max_items=1) as running:
        with (
            running.admission.admit("interactive", 1, 1, ThroughputEstimator()),
            pytest.raises(QueueFull),
        ):
            await running.scorer.tokenize(TokenIds((1, 2)))
        assert await running.scorer.tokenize(TokenIds((1, 2))) == (1, 2)


async def test_a_score_that_is_cached_is_not_computed_again() -> None:
    engine = FakeEngine()
    async with scoring(engine, cache_bytes=10_000) as running:
        first = await running.scorer.score(request("prompt", "a", "bb"))
        second = await running.scorer.score(request("prompt", "bb", "ccc"))
    assert [item.cached for item in second.items()] == [True, False]
    assert second.items()[0] == replace(first.items()[1], cached=True)
    assert (first.cached, first.computed, second.cached, second.computed) == (0, 2, 1, 1)
    assert second.computed_tokens == len("promptccc")
    assert [len(batch) for batch in engine.batches] == [2, 1]


async def test_the_estimate_counts_a_shared_prompt_once_and_no_text_for_more_than_fits() -> None:
    shared, long = request("p" * 30, "a" * 3, "b" * 6), request("p", "x" * 3 * MAX_TOKENS)
    async with scoring(FakeEngine()) as running:
        assert running.scorer.estimate(shared) == 11 + 2 + 3
        assert running.scorer.estimate(long) == 1 + MAX_TOKENS
        assert running.scorer.estimate(ScoringRequest(((TokenIds((1, 2)),),))) == 2
        refused = TokenIds((1,) * (MAX_TOKENS + 1))
        assert running.scorer.estimate(ScoringRequest(((refused,),))) == 0
    async with scoring(PlainEngine()) as running:
        assert running.scorer.estimate(shared) == 2 * 11 + 2 + 3


async def test_a_given_estimate_is_reserved_until_the_tokens_are_known() -> None:
    async with scoring(FakeEngine()) as running:
        task = asyncio.create_task(running.scorer.score(request("prompt", "a"), 999))
        await asyncio.sleep(0)
        assert running.admission.tokens("interactive") == 999
        await task
    assert running.admission.tokens("interactive") == 0


class BrokenEngine(FakeEngine):
    def score(self, batch: list[Sequence]) -> list[list[float]]:
        raise RuntimeError("out of something")


async def test_steps_cost_what_is_computed_where_nothing_is_shared() -> None:
    steps = chats((Message("user", "p"),), ("abcd",), ((2,),))
    spent: list[int] = []
    async with scoring(PlainEngine()) as running:
        scored = await running.scorer.score(ScoringRequest((steps,)), spend=spent.append)
    assert (scored.computed_tokens, scored.saved_tokens) == (3 + 5, 0)
    assert sum(spent) == 3 + 5


async def test_errors_are_not_cached() -> None:
    async with scoring(BrokenEngine(), cache_bytes=10_000) as running:
        items = [*(await running.scorer.score(request("p", "a"))).items()]
        items += (await running.scorer.score(request("p", "a"))).items()
    assert [item.error.code for item in items if item.error] == ["engine_error"] * 2


async def test_computed_tokens_are_the_nodes_of_the_prefix_tree() -> None:
    candidates = ["one", "two", "one more", "two", "three"]
    sequences = [encode((Message("user", "prompt" + text),)) for text in candidates]
    async with scoring(FakeEngine()) as running:
        scored = await running.scorer.score(request("prompt", *candidates))
    assert scored.computed_tokens == sum(new_tokens(sequences))
    assert scored.tokens == sum(len(sequence.ids) for sequence in sequences)
    assert scored.saved_tokens == scored.tokens - scored.computed_tokens


async def test_a_lone_request_that_just_fits_the_budget_is_one_batch() -> None:
    """Rollouts that branch late are put beside each other, wherever they stood in the request."""
    candidates = ["aaaa1", "bbbb1", "aaaa2", "bbbb2"]
    nodes = len("prompt") + 5 + 5 + 1 + 1
    engine = FakeEngine()
    async with scoring(engine, batch_tokens=nodes) as running:
        scored = await running.scorer.score(request("prompt", *candidates))
    assert len(engine.batches) == 1
    assert scored.computed_tokens == nodes


class PlainEngine(FakeEngine):
    facts = replace(FakeEngine.facts, shares_prefixes=False)


async def test_an_engine_that_shares_nothing_computes_every_token() -> None:
    async with scoring(PlainEngine()) as running:
        scored = await running.scorer.score(request("prompt", "a", "b"))
    assert (scored.computed_tokens, scored.saved_tokens) == (14, 0)


async def test_a_candidate_that_is_too_long_has_an_error_and_the_others_a_score() -> None:
    async with scoring(FakeEngine()) as running:
        scored = await running.scorer.score(request("prompt", "x" * MAX_TOKENS, "fine"))
    long, fine = scored.items()
    assert long.error is not None
    assert (long.error.code, long.raw, long.tokens) == ("too_long", None, MAX_TOKENS + 6)
    assert fine.raw == 10.0


async def test_a_prompt_that_is_too_long_alone_is_answered_for_every_candidate() -> None:
    engine = FakeEngine()
    async with scoring(engine) as running:
        scored = await running.scorer.score(request("x" * (MAX_TOKENS + 1), "a", "b"))
    assert scored.errors() == {"too_long": 2}
    assert (scored.computed_tokens, scored.timings.queue, scored.timings.infer) == (0, 0, 0)
    assert engine.batches == []


async def test_timings_add_up() -> None:
    async with scoring(FakeEngine()) as running:
        timings = (await running.scorer.score(request("prompt", "a"))).timings
    steps = [timings.admit, timings.encode, timings.queue, timings.infer]
    assert all(step >= 0 for step in steps)
    assert sum(steps) <= timings.total


async def test_a_full_queue_refuses_before_any_work() -> None:
    engine = GatedEngine()
    async with scoring(engine, max_items=1) as running:
        first = asyncio.create_task(running.scorer.score(request("prompt", "a")))
        await engine.begins()
        with pytest.raises(QueueFull):
            await running.scorer.score(request("prompt", "b"))
        engine.go_on.release()
        await first
    assert len(engine.batches) == 1


async def test_after_the_deadline_nothing_of_the_request_runs() -> None:
    engine = GatedEngine()
    async with scoring(engine) as running:
        blocking = asyncio.create_task(running.scorer.score(request("prompt", "a")))
        await engine.begins()
        with pytest.raises(DeadlineExceeded):
            await running.scorer.score(request("late", "b", timeout=0.01))
        assert running.admission.items("interactive") == 1
        engine.go_on.release()
        await blocking
    assert len(engine.batches) == 1


async def test_a_cancelled_request_is_never_run() -> None:
    engine = GatedEngine()
    async with scoring(engine) as running:
        blocking = asyncio.create_task(running.scorer.score(request("prompt", "a")))
        await engine.begins()
        leaving = asyncio.create_task(running.scorer.score(request("prompt", "b")))
        while running.admission.tokens("interactive") < 14:  # noqa: ASYNC110 - until it is queued
            await asyncio.sleep(0)
        leaving.cancel()
        engine.go_on.release()
        await blocking
    assert len(engine.batches) == 1
    assert leaving.cancelled()
    assert running.admission.items("interactive") == 0


@pytest.mark.parametrize(
    "module", ["service.scheduling.batcher", "service.scoring.scorer", "service.app"]
)
def test_importing_the_way_to_the_engine_imports_no_torch(module: str) -> None:
    script = f"import sys, {module}; assert not {{'torch', 'transformers'}} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)
