"""Items become sequences or errors, in order; interactive work always finds a thread."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import replace
from typing import TypeVar

import pytest

from reward_model.packing import Sequence
from reward_model.text.chat import SAYING_KEYS, Conversation, Message, Unencodable
from reward_model.text.encoding import Rendered
from service.scheduling.queue import PRIORITIES, Priority
from service.scoring.encode_pool import Encoded, EncodePool
from service.scoring.model import Model
from service.scoring.types import Chat, Item, ItemScore, TokenIds
from tests.service.fakes import (
    MAX_CHARACTERS,
    MAX_TOKENS,
    FakeEngine,
    ScriptedEncoder,
    encode,
    model,
)


class Panic(BaseException):
    """Like `pyo3_runtime.PanicException`, which is no Exception."""


def picky(conversation: Conversation) -> Sequence:
    match conversation[-1].content:
        case "refused":
            raise Unencodable("the template says no")
        case "odd":
            raise StopIteration
        case "panic":
            raise Panic
        case _:
            return encode(conversation)


@pytest.fixture
async def pool() -> AsyncIterator[EncodePool]:
    pool = EncodePool(2, lambda: False)
    yield pool
    pool.shutdown()


T = TypeVar("T")


def chat_items(*answers: str) -> list[Item]:
    return [Chat.of((Message("user", "p"), Message("assistant", answer))) for answer in answers]


async def test_order_is_kept_over_many_chunks(pool: EncodePool) -> None:
    answers = [f"answer {number}" for number in range(100)]
    encoded = await pool.encode(model(), chat_items(*answers))
    assert encoded == [
        Encoded(encode((Message("user", "p"), Message("assistant", answer)))) for answer in answers
    ]


async def test_bulk_chunks_are_smaller_so_that_bulk_work_can_pause() -> None:
    chunks: dict[Priority, int] = {}

    class Counting(EncodePool):
        async def run(self, model: Model, priority: Priority, work: Callable[[], T]) -> T:
            chunks[priority] = chunks.get(priority, 0) + 1
            return await super().run(model, priority, work)

    counting = Counting(1, lambda: False)
    for priority in PRIORITIES:
        await counting.encode(model(), chat_items(*"sixteen answers:"), priority=priority)
    counting.shutdown()
    assert chunks == {"interactive": 1, "bulk": 4}


async def test_one_bad_text_leaves_its_neighbors_alone(
    pool: EncodePool, caplog: pytest.LogCaptureFixture
) -> None:
    served = replace(model(), encoder=ScriptedEncoder(picky))
    texts = chat_items("fine", "x" * MAX_TOKENS, "refused", "odd", "fine")
    first, long, refused, odd, last = await pool.encode(served, texts)
    assert isinstance(first, Encoded)
    assert isinstance(long, ItemScore)
    assert long.error is not None
    assert (long.error.code, long.tokens) == ("too_long", MAX_TOKENS + 1)
    assert isinstance(refused, ItemScore)
    assert refused.error is not None
    assert (refused.error.code, refused.error.message) == ("unencodable", "the template says no")
    assert isinstance(odd, ItemScore)
    assert odd.error is not None
    assert odd.error.code == "unencodable"
    assert last == first
    assert "StopIteration" in caplog.text


async def test_a_panic_of_the_tokenizer_costs_its_own_text_alone(pool: EncodePool) -> None:
    served = replace(model(), encoder=ScriptedEncoder(picky))
    first, panic, last = await pool.encode(served, chat_items("fine", "panic", "fine"))
    assert isinstance(panic, ItemScore)
    assert panic.error is not None
    assert panic.error.code == "unencodable"
    assert isinstance(first, Encoded)
    assert first == last


async def test_the_cost_of_encoding_is_told_whatever_it_leads_to(pool: EncodePool) -> None:
    served, spent = replace(model(), encoder=ScriptedEncoder(picky)), list[int]()
    for answer in ("fine", "x" * MAX_TOKENS, "refused", "panic", "", "x" * MAX_CHARACTERS):
        await pool.encode(served, chat_items(answer), spend=spent.append)
    assert spent == [1, MAX_TOKENS + 1, 1 + 8 // 3, 1 + 6 // 3, 0, 0]


async def test_an_item_that_cannot_fit_is_refused_without_encoding_it(pool: EncodePool) -> None:
    def untouched(_: Conversation) -> Sequence:
        raise AssertionError

    served = replace(model(), encoder=ScriptedEncoder(untouched))
    (hopeless,) = await pool.encode(served, chat_items("x" * MAX_CHARACTERS))
    assert isinstance(hopeless, ItemScore)
    assert hopeless.error is not None
    assert hopeless.error.code == "too_long"
    assert f"has {MAX_CHARACTERS + 1} characters" in hopeless.error.message


@pytest.mark.parametrize(
    ("role", "code"), [("r" * MAX_CHARACTERS, "too_long"), ("\ud83d", "unencodable")]
)
async def test_a_role_counts_as_text(pool: EncodePool, role: str, code: str) -> None:
    item = Chat.of((Message(role, "p"), Message("assistant", "a")))
    (refused,) = await pool.encode(model(), [item])
    assert isinstance(refused, ItemScore)
    assert refused.error is not None
    assert refused.error.code == code


async def test_texts_and_tokens_are_taken_as_they_are(pool: EncodePool) -> None:
    items: list[Item] = [
        Rendered("abc"),
        TokenIds((1, 2)),
        TokenIds(()),
        TokenIds((10**6,)),
        Rendered(""),
    ]
    text, ids, *wrong = await pool.encode(model(), items)
    assert text == Encoded(encode((Message("user", "abc"),)))
    assert ids == Encoded(Sequence((1, 2), (1,)))
    codes = [entry.error and entry.error.code for entry in wrong if isinstance(entry, ItemScore)]
    assert codes == ["empty", "unencodable", "empty"]


@pytest.mark.parametrize("key", SAYING_KEYS)
async def test_an_answer_without_content_that_says_something_is_not_empty(
    pool: EncodePool, key: str
) -> None:
    answer = Message("assistant", "", f'{{"{key}": "x"}}')
    (entry,) = await pool.encode(model(), [Chat.of((Message("user", "a"), answer))])
    assert isinstance(entry, Encoded)


async def test_a_long_prompt_is_cut_where_that_is_asked_for(pool: EncodePool) -> None:
    answer = "a" * 20
    long = Chat.of((Message("user", "b" * MAX_TOKENS + "e"), Message("assistant", answer)))
    hopeless = Chat.of((Message("user", "b"), Message("assistant", "a" * (MAX_TOKENS + 1))))
    cut, too_long = await pool.encode(model(), [long, hopeless], "truncate_prompt")
    assert isinstance(cut, Encoded)
    assert cut.dropped_tokens == 21
    assert cut.sequence.ids[-21:] == encode((Message("user", "e" + answer),)).ids
    assert len(cut.sequence.ids) == MAX_TOKENS
    assert isinstance(too_long, ItemScore)
    assert too_long.error is not None
    assert (too_long.error.code, too_long.tokens) == ("too_long", MAX_TOKENS + 2)


async def test_a_cancelled_caller_frees_the_threads() -> None:
    begun, go_on, encoded = threading.Event(), threading.Event(), []

    def slow(conversation: Conversation) -> Sequence:
        begun.set()
        assert go_on.wait(10)
        encoded.append(conversation)
        return encode(conversation)

    pool = EncodePool(1, lambda: False)
    served = replace(model(), encoder=ScriptedEncoder(slow))
    caller = asyncio.create_task(
        pool.encode(served, chat_items(*"many texts in three chunks of 16" * 2))
    )
    await asyncio.to_thread(begun.wait, 10)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    go_on.set()
    await pool.run(served, "interactive", lambda: None)
    pool.shutdown()
    assert len(encoded) == 1


async def test_the_plan_puts_sequences_beside_those_they_share_most_with(
    pool: EncodePool,
) -> None:
    unsharing = FakeEngine()
    unsharing.facts = replace(unsharing.facts, shares_prefixes=False)
    sequences = [encode((Message("user", text),)) for text in ("ab1", "cd", "ab2")]
    assert await pool.plan(model(), sequences) == [(0, 3), (2, 1), (1, 2)]
    assert await pool.plan(model(unsharing), sequences) == [(0, 3), (1, 2), (2, 3)]


async def test_a_single_sequence_is_planned_without_a_thread(pool: EncodePool) -> None:
    unsharing = FakeEngine()
    unsharing.facts = replace(unsharing.facts, shares_prefixes=False)
    pool.shutdown()  # Whoever needs a thread now fails.
    assert await pool.plan(model(), [Sequence((5, 6, 7), (1, 2))]) == [(0, 3)]
    assert await pool.plan(model(unsharing), [Sequence((5, 6, 7), (1, 2))]) == [(0, 5)]
    assert await pool.plan(model(), []) == []


async def test_a_flood_of_bulk_work_leaves_a_thread_to_interactive_work(pool: EncodePool) -> None:
    go_on, served = threading.Event(), model()
    async with asyncio.timeout(10):
        flood = [asyncio.create_task(pool.run(served, "bulk", go_on.wait)) for _ in range(50)]
        await asyncio.sleep(0)
        assert await pool.run(served, "interactive", lambda: "encoded") == "encoded"
        assert not any(task.done() for task in flood)
        go_on.set()
        assert all(await asyncio.gather(*flood))


async def test_with_one_thread_interactive_work_waits_for_one_bulk_chunk_at_most() -> None:
    done: list[Priority] = []
    pool, served = EncodePool(1, lambda: False), model()

    def run(priority: Priority) -> Coroutine[None, None, None]:
        return pool.run(served, priority, lambda: done.append(priority))

    async with asyncio.timeout(10):
        flood = [asyncio.create_task(run("bulk")) for _ in range(9)]
        await asyncio.sleep(0)
        await run("interactive")
        await asyncio.gather(*flood)
    pool.shutdown()
    assert done.index("interactive") <= 1
    assert len(done) == 10


@pytest.mark.parametrize(
    ("interactive", "batches_in_flight", "pauses"),
    [(True, 1, True), (True, 2, False), (False, 1, False)],
)
async def test_bulk_work_pauses_beside_interactive_work_if_it_takes_the_engine_s_cores(
    interactive: bool, batches_in_flight: int, pauses: bool
) -> None:
    paused: list[float] = []

    async def sleep(seconds: float) -> None:
        paused.append(seconds)

    pool = EncodePool(2, lambda: interactive, sleep=sleep)
    served = model(FakeEngine(batches_in_flight))
    await pool.run(served, "interactive", lambda: None)
    assert not paused, "interactive work never pauses"
    await pool.run(served, "bulk", lambda: None)
    pool.shutdown()
    assert [seconds > 0 for seconds in paused] == [True] * pauses
