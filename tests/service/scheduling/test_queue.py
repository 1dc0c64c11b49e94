"""The policy, without threads and on a clock that only these tests move."""

import asyncio
import math

from hypothesis import given
from hypothesis import strategies as st

from reward_model.packing import Sequence, new_tokens
from service.scheduling.queue import PRIORITIES, WINDOW, WINDOW_BATCHES, Job, JobQueue, Priority


def job(
    text: str,
    *,
    priority: Priority = "interactive",
    at: float = 0.0,
    deadline: float = math.inf,
    reserved_tokens: int = 0,
) -> Job:
    """Needs a running event loop, as every future does."""
    ids = tuple(text.encode())
    answer = asyncio.get_running_loop().create_future()
    return Job(Sequence(ids, (len(ids) - 1,)), priority, answer, at, deadline, reserved_tokens)


def queue(
    *jobs: Job,
    batch_tokens: int = 10,
    max_tokens: int | None = None,
    max_wait: float = 0.0,
    shares_prefixes: bool = True,
) -> JobQueue:
    waiting = JobQueue(
        batch_tokens=batch_tokens,
        max_tokens=max_tokens,
        max_wait=max_wait,
        bulk_patience=5.0,
        shares_prefixes=shares_prefixes,
    )
    waiting.push(list(jobs))
    return waiting


def texts(batch: list[Job]) -> list[str]:
    return [bytes(job.sequence.ids).decode() for job in batch]


async def test_candidates_of_one_prompt_pay_for_it_once() -> None:
    waiting = queue(job("promptA"), job("promptB"), job("promptC"), job("promptDE"))
    assert texts(waiting.take(0)) == ["promptA", "promptB", "promptC"]  # 7 + 1 + 1, then 2 more
    assert texts(waiting.take(0)) == ["promptDE"]
    assert len(waiting) == 0


async def test_rollouts_of_one_prompt_meet_though_others_came_between() -> None:
    waiting = queue(job("promptA"), job("other"), job("promptB"), job("third"), job("promptC"))
    assert texts(waiting.take(0)) == ["promptA", "promptB", "promptC"]
    assert texts(waiting.take(0)) == ["other", "third"]


async def test_relatives_are_looked_for_among_those_that_waited_longest() -> None:
    strangers = [job(f"{number:06}") for number in range(WINDOW - 1)]
    waiting = queue(job("promptA"), *strangers, job("promptB"))
    assert texts(waiting.take(0)) == ["promptA"]


async def test_relatives_are_looked_for_in_no_more_than_some_batches_worth_of_work() -> None:
    strangers = [job(f"{number:06}", reserved_tokens=10) for number in range(WINDOW_BATCHES - 1)]
    waiting = queue(
        job("promptA", reserved_tokens=10), *strangers, job("promptB", reserved_tokens=1)
    )
    assert texts(waiting.take(0)) == ["promptA"]


async def test_a_batch_grows_rather_than_split_relatives() -> None:
    family = [job(f"prompt{letter}") for letter in "ABCDEFGH"]
    waiting = queue(*family, job("other"), max_tokens=14)
    assert waiting.take(0) == family
    assert texts(waiting.take(0)) == ["other"]


async def test_prompts_of_2000_tokens_are_computed_once_at_the_budget_of_a_cpu() -> None:
    """Candidates of two requests, as best-of-16 has them: each request is 4,400 tokens."""
    prompts = ["a" * 2000, "b" * 2000]
    families = [[job(p + chr(n) * 150) for n in range(16)] for p in prompts]
    waiting = queue(*families[0], *families[1], batch_tokens=4096, max_tokens=8192)
    assert [waiting.take(0), waiting.take(0)] == families


async def test_strangers_run_in_the_order_in_which_they_came() -> None:
    letters = "mzakq"
    waiting = queue(*(job(letter * 5) for letter in letters))
    batches = list(iter(lambda: texts(waiting.take(0)), []))
    assert [text[0] for batch in batches for text in batch] == list(letters)


async def test_an_engine_that_shares_nothing_pays_for_every_prompt() -> None:
    waiting = queue(job("promptA"), job("promptB"), shares_prefixes=False)
    assert texts(waiting.take(0)) == ["promptA"]


async def test_a_job_over_the_budget_runs_alone() -> None:
    waiting = queue(job("x" * 11), job("a"), job("b"))
    assert [texts(waiting.take(0)) for _ in range(2)] == [["x" * 11], ["a", "b"]]


async def test_interactive_goes_first_and_bulk_fills_what_is_left() -> None:
    bulk = [job(text, priority="bulk") for text in ("bulk", "more")]
    waiting = queue(*bulk, job("first"), job("z"))
    assert texts(waiting.take(0)) == ["first", "z", "bulk"]


async def test_bulk_leads_one_batch_when_its_patience_ends_and_then_waits_again() -> None:
    waiting = queue(
        *(job(letter * 10, priority="bulk") for letter in "ab"), *(job(d * 10) for d in "0123")
    )
    order = [texts(waiting.take(now))[0][0] for now in (4.9, 5.0, 5.1, 9.9, 10.0, 10.1)]
    assert order == ["0", "a", "1", "2", "b", "3"]


async def test_jobs_that_nobody_awaits_are_dropped() -> None:
    gone, late = job("gone", reserved_tokens=30), job("late", deadline=1.0, reserved_tokens=30)
    wanted = job("wanted")
    waiting = queue(gone, late, wanted)
    gone.answer.cancel()
    assert waiting.take(1.0) == [wanted]
    assert waiting.take_expired() == [late]
    assert waiting.take_expired() == []


async def test_the_first_job_waits_for_company_until_the_budget_or_its_time_is_reached() -> None:
    waiting = queue(max_wait=2.0)
    assert waiting.due_in(0.0) == math.inf
    waiting.push([job("abc", at=1.0)])
    assert waiting.due_in(1.5) == 1.5
    assert waiting.due_in(9.0) == 0.0
    waiting.push([job("0123456", at=1.5)])
    assert waiting.due_in(1.5) == 0.0
    waiting.take(1.5)
    assert waiting.due_in(1.5) == math.inf


TEXT = st.text("ab", min_size=1, max_size=15)
ARRIVALS = st.lists(st.tuples(TEXT, st.sampled_from(PRIORITIES), st.booleans()), max_size=25)


@given(ARRIVALS, st.booleans(), st.integers(10, 30))
async def test_every_job_is_taken_once_and_every_batch_takes_what_waited_longest(
    arrivals: list[tuple[str, Priority, bool]], shares_prefixes: bool, max_tokens: int
) -> None:
    jobs = [
        job(text, priority=priority, reserved_tokens=len(text)) for text, priority, _ in arrivals
    ]
    for entry, (_, _, abandoned) in zip(jobs, arrivals, strict=True):
        if abandoned:
            entry.answer.cancel()
    waiting = queue(*jobs, shares_prefixes=shares_prefixes, max_tokens=max_tokens)
    batches = list(iter(lambda: waiting.take(0.0), []))

    for priority in PRIORITIES:
        left = [e for e in jobs if e.priority == priority and not e.answer.cancelled()]
        for taken in ([e for e in batch if e.priority == priority] for batch in batches):
            assert taken == [] or taken[0] is left[0]
            assert shares_prefixes or taken == left[: len(taken)]
            left = [entry for entry in left if entry not in taken]
        assert left == []
    for batch in batches:
        sequences = [entry.sequence for entry in batch]
        cost = sum(new_tokens(sequences)) if shares_prefixes else sum(e.tokens for e in batch)
        assert cost <= max(max_tokens if shares_prefixes else 10, batch[0].tokens)
        kinds = [entry.priority for entry in batch]
        assert kinds == sorted(kinds, key=PRIORITIES.index), "interactive leads every batch"
    assert waiting.due_in(0.0) == math.inf


async def test_bulk_batches_are_short_while_interactive_work_comes() -> None:
    waiting = JobQueue(batch_tokens=1000, max_wait=0, bulk_patience=99, shares_prefixes=False)
    waiting.push([job("x" * 100, priority="bulk") for _ in range(40)])
    assert len(waiting.take(0.0)) == 10
    waiting.push([job("y", at=1.0)])
    mixed = waiting.take(1.0)
    assert [entry.priority for entry in mixed] == ["interactive", "bulk", "bulk"]
    assert len(waiting.take(1.0)) == 2
    assert len(waiting.take(60.0)) == 10


async def test_bulk_batches_beside_interactive_work_do_not_grow_for_relatives() -> None:
    family = [job(f"prompt{letter}", priority="bulk") for letter in "ABCDEFGH"]
    waiting = queue(*family, job("x"), max_tokens=20)
    waiting.note_ran([job("x")], 100.0)  # so long that bulk work may take as many as ever
    assert len(waiting.take(0.0)) == 4  # x, 7 + 1 + 1
    assert len(waiting.take(0.0)) == 4  # 7 + 1 + 1 + 1
    assert len(waiting.take(0.0)) == 1
