"""Jobs in, answers out, through a real engine thread and a fake engine."""

import asyncio
import math
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reward_model.packing import Sequence
from service.engines.engine import OutOfMemory
from service.errors import DeadlineExceeded, ItemError
from service.scheduling.batcher import Batcher, BatchReport
from service.scheduling.queue import PRIORITIES, Job, JobQueue, Priority
from tests.service.fakes import FakeEngine, GatedEngine


def job(text: str, *, priority: Priority = "interactive", deadline: float = math.inf) -> Job:
    ids = tuple(text.encode())
    answer = asyncio.get_running_loop().create_future()
    return Job(Sequence(ids, (len(ids) - 1,)), priority, answer, time.monotonic(), deadline)


@asynccontextmanager
async def batching(
    engine: FakeEngine, reports: list[BatchReport] | None = None
) -> AsyncIterator[Batcher]:
    queue = JobQueue(
        batch_tokens=10,
        max_wait=0.0,
        bulk_patience=60.0,
        shares_prefixes=engine.facts.shares_prefixes,
    )
    seen = [] if reports is None else reports
    with ThreadPoolExecutor(engine.batching.batches_in_flight) as threads:
        batcher = Batcher(engine, queue, threads, report=seen.append)
        yield batcher
        await batcher.close()


async def test_everything_submitted_is_finished_before_close_returns() -> None:
    async with batching(FakeEngine()) as batcher:
        jobs = [job("x" * length) for length in range(1, 30)]
        batcher.submit(jobs)
    assert [entry.answer.result() for entry in jobs] == [(n,) for n in range(1, 30)]


async def test_a_batch_takes_in_whatever_came_until_it_starts() -> None:
    engine = GatedEngine()
    async with batching(engine) as batcher:
        jobs = [job(text) for text in ("a", "b", "c", "d")]
        batcher.submit(jobs[:1])
        await engine.begins()
        for entry in jobs[1:]:
            batcher.submit([entry])  # each apart, while the first one runs
        engine.go_on.release(2)
    assert [len(batch) for batch in engine.batches] == [1, 3]


async def test_jobs_learn_what_was_computed_and_when() -> None:
    reports: list[BatchReport] = []
    async with batching(FakeEngine(), reports) as batcher:
        jobs = [job("abcd"), job("abce")]
        batcher.submit(jobs)
    assert [entry.computed_tokens for entry in jobs] == [4, 1]
    assert all(j.queued_at <= j.started_at <= j.finished_at for j in jobs)
    assert [(report.sequences, report.tokens) for report in reports] == [(2, 5)]


class FaultyEngine(FakeEngine):
    """Fails on any batch that holds the text `bad`, and answers `nan` with no number."""

    def score(self, batch: list[Sequence]) -> list[list[float]]:
        texts = [bytes(sequence.ids) for sequence in batch]
        if b"bad" in texts:
            raise RuntimeError("out of something")
        return [[math.nan] if text == b"nan" else [1.0] for text in texts]


async def test_an_engine_fault_costs_the_text_that_causes_it_only(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with batching(FaultyEngine()) as batcher:
        jobs = [job(text) for text in ("bad", "beside", "nan", "fine")]
        batcher.submit(jobs)  # 3 + 5 tokens, then 3 + 4
    fault, beside, nan, fine = [entry.answer.result() for entry in jobs]
    assert isinstance(fault, ItemError)
    assert fault.code == "engine_error"
    assert "out of something" not in fault.message
    assert beside == (1.0,)
    assert isinstance(nan, ItemError)
    assert nan.code == "non_finite"
    assert fine == (1.0,)
    assert "RuntimeError: out of something" in caplog.text


class CrampedEngine(FakeEngine):
    """Has memory for five tokens."""

    def score(self, batch: list[Sequence]) -> list[list[float]]:
        if sum(len(sequence.ids) for sequence in batch) > 5:
            raise OutOfMemory
        return super().score(batch)


async def test_a_batch_that_memory_has_no_room_for_is_split() -> None:
    engine, reports = CrampedEngine(), list[BatchReport]()
    async with batching(engine, reports) as batcher:
        jobs = [job(text) for text in ("ab", "cd", "efghij", "k")]
        batcher.submit(jobs[:2])
        batcher.submit(jobs[2:])
    answers = [entry.answer.result() for entry in jobs]
    assert answers[:2] + answers[3:] == [(2.0,), (2.0,), (1.0,)]
    assert isinstance(answers[2], ItemError)
    assert answers[2].code == "out_of_memory"
    assert sum(report.splits for report in reports) >= 1


class MumblingEngine(FakeEngine):
    def score(self, batch: list[Sequence]) -> list[list[float]]:
        return []


async def test_too_few_scores_are_a_fault_too() -> None:
    async with batching(MumblingEngine()) as batcher:
        entry = job("a")
        batcher.submit([entry])
    assert isinstance(entry.answer.result(), ItemError)


async def test_abandoned_jobs_never_reach_the_engine() -> None:
    engine = GatedEngine()
    async with batching(engine) as batcher:
        running, abandoned, wanted = job("running"), job("abandoned"), job("wanted")
        batcher.submit([running])
        await engine.begins()
        batcher.submit([abandoned, wanted])
        abandoned.answer.cancel()
        running.answer.cancel()  # too late to spare the engine, but nobody is told
        engine.go_on.release(2)
    assert [len(batch) for batch in engine.batches] == [1, 1]
    assert wanted.answer.result() == (6.0,)


async def test_expired_jobs_are_answered_without_being_run() -> None:
    engine = FakeEngine()
    async with batching(engine) as batcher:
        late = job("late", deadline=0.0)
        batcher.submit([late])
        with pytest.raises(DeadlineExceeded):
            await late.answer
    assert engine.batches == []


async def test_one_batch_at_a_time_unless_the_engine_takes_more() -> None:
    reports: list[BatchReport] = []
    async with batching(FakeEngine(), reports) as batcher:
        batcher.submit([job("x" * length) for length in range(11, 30)])
    assert [report.concurrent_batches for report in reports] == [1] * 19


async def test_the_time_between_two_batches_counts_as_busy() -> None:
    reports: list[BatchReport] = []
    async with batching(FakeEngine(), reports) as batcher:
        jobs = [job("x" * length) for length in (11, 12)]  # each a batch of its own
        for entry in jobs:
            entry.queued_at -= 5.0
            entry.reserved_tokens = 20
        batcher.submit(jobs)
    first, second = reports
    assert first.busy_seconds > 5.0 > second.busy_seconds >= second.seconds
    assert [report.admitted_tokens for report in reports] == [20, 20]


async def test_batches_overlap_as_far_as_the_engine_takes_them() -> None:
    engine, reports = GatedEngine(batches_in_flight=2), list[BatchReport]()
    async with batching(engine, reports) as batcher:
        jobs = [job("x" * length) for length in (11, 12, 13)]  # each a batch of its own
        batcher.submit(jobs)
        await engine.begins()
        await engine.begins()
        engine.go_on.release()
        await engine.begins()
        engine.go_on.release(2)
    assert [entry.answer.result() for entry in jobs] == [(11,), (12,), (13,)]
    assert sorted(report.concurrent_batches for report in reports) == [1, 2, 2]


async def test_a_job_that_comes_while_a_batch_runs_need_not_wait_for_it() -> None:
    engine = GatedEngine(batches_in_flight=2)
    async with batching(engine) as batcher:
        early, late = job("early"), job("late")
        batcher.submit([early])
        await engine.begins()
        batcher.submit([late])
        await engine.begins()
        engine.go_on.release(2)
    assert (early.answer.result(), late.answer.result()) == ((5,), (4,))


async def test_close_waits_for_every_batch_in_flight() -> None:
    engine = GatedEngine(batches_in_flight=2)
    async with batching(engine) as batcher:
        jobs = [job("x" * length) for length in (11, 12, 13)]
        batcher.submit(jobs)
        await engine.begins()
        await engine.begins()
        closing = asyncio.create_task(batcher.close())
        engine.go_on.release()
        await engine.begins()  # the third one runs, although it is closing
        assert not closing.done()
        engine.go_on.release(2)
        await closing
    assert all(entry.answer.done() for entry in jobs)


async def test_each_attempt_has_a_clock_of_its_own() -> None:
    """Otherwise a batch that is scored in parts would count as hung."""

    class Halved(GatedEngine):
        def score(self, batch: list[Sequence]) -> list[list[float]]:
            rows = super().score(batch)
            if len(batch) > 1:
                raise RuntimeError
            return rows

    engine = Halved()
    async with batching(engine) as batcher:
        batcher.submit([job("a"), job("b")])
        await engine.begins()
        first = batcher.running_for
        while batcher.running_for < first + 0.05:  # noqa: ASYNC110
            await asyncio.sleep(0)
        engine.go_on.release(2)  # the batch, and the engine's own text
        await engine.begins()
        await engine.begins()
        assert batcher.running_for < first + 0.05
        engine.go_on.release(2)


class Overflow(JobQueue):
    """A queue with a fault in it, which ends the thread that takes batches."""

    def take(self, now: float) -> list[Job]:
        raise OverflowError


async def test_a_batch_thread_that_ends_is_noticed(caplog: pytest.LogCaptureFixture) -> None:
    engine, reasons = FakeEngine(), list[str]()
    queue = Overflow(batch_tokens=10, max_wait=0.0, bulk_patience=60.0, shares_prefixes=True)
    with ThreadPoolExecutor(1) as threads:
        batcher = Batcher(engine, queue, threads, died=reasons.append)
        entry = job("a")
        batcher.submit([entry])
        while not reasons:  # noqa: ASYNC110
            await asyncio.sleep(0)
        batcher.abort()  # as the service does with a dead engine
        await batcher.close()
    assert "OverflowError" in reasons[0]
    assert isinstance(entry.answer.result(), ItemError)


async def test_a_wait_longer_than_the_system_can_count_is_a_wait() -> None:
    queue = JobQueue(batch_tokens=10, max_wait=1e300, bulk_patience=1e300, shares_prefixes=True)
    with ThreadPoolExecutor(1) as threads:
        batcher = Batcher(FakeEngine(), queue, threads)
        entry = job("a")
        batcher.submit([entry])
        await asyncio.sleep(0)
        batcher.submit([job("b" * 10)])  # fills the batch, so it is due
        assert await entry.answer == (1.0,)
        await batcher.close()


async def test_a_fault_costs_no_batch_beside_it() -> None:
    class Both(GatedEngine):
        def score(self, batch: list[Sequence]) -> list[list[float]]:
            rows = super().score(batch)
            if b"bad" in [bytes(sequence.ids) for sequence in batch]:
                raise RuntimeError("out of something")
            return rows

    engine = Both(batches_in_flight=2)
    async with batching(engine) as batcher:
        bad, good = job("bad"), job("good company")
        batcher.submit([bad, good])
        await engine.begins()
        await engine.begins()
        engine.go_on.release(4)  # the bad one is tried again, after the engine's own text
    assert isinstance(bad.answer.result(), ItemError)
    assert good.answer.result() == (12.0,)


ARRIVALS = st.lists(
    st.tuples(
        st.text("ab", min_size=1, max_size=15),
        st.sampled_from(PRIORITIES),
        st.sampled_from(["kept", "abandoned", "expired"]),
    ),
    max_size=20,
)


@given(st.lists(ARRIVALS, max_size=4), st.sampled_from([1, 3]))
async def test_any_mix_of_jobs_is_answered_exactly_once(
    requests: list[list[tuple[str, Priority, str]]], batches_in_flight: int
) -> None:
    engine = FakeEngine(batches_in_flight)
    fates: list[tuple[Job, str]] = []
    async with batching(engine) as batcher:
        for request in requests:
            jobs = [_with_fate(*arrival) for arrival in request]
            batcher.submit([entry for entry, _ in jobs])
            fates += jobs
    for entry, fate in fates:
        if fate == "kept":
            assert entry.answer.result() == (entry.tokens,)
        elif fate == "expired":
            assert isinstance(entry.answer.exception(), DeadlineExceeded)
    assert sum(map(len, engine.batches)) == sum(fate == "kept" for _, fate in fates)


def _with_fate(text: str, priority: Priority, fate: str) -> tuple[Job, str]:
    entry = job(text, priority=priority, deadline=0.0 if fate == "expired" else math.inf)
    if fate == "abandoned":
        entry.answer.cancel()
    return entry, fate


async def test_an_aborted_batcher_answers_what_runs_what_waits_and_what_comes() -> None:
    engine = GatedEngine()
    async with batching(engine) as batcher:
        running, waiting, late = job("running"), job("waiting"), job("late")
        batcher.submit([running])
        await engine.begins()
        batcher.submit([waiting])
        batcher.abort()
        batcher.submit([late])
        answers = [each.answer.result() for each in (running, waiting, late)]
        assert batcher.running_for == 0
        engine.go_on.release()
    assert all(isinstance(one, ItemError) and one.code == "engine_error" for one in answers)
    assert len(engine.batches) == 1, "what waited is not computed"
