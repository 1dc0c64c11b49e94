import asyncio
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TypeVar

import pytest

from reward_model.packing import Sequence
from reward_model.text.chat import Conversation, Message, Unencodable
from reward_model.text.encoding import Rendered
from service.scheduling.queue import PRIORITIES, Priority
from service.scoring.encode_pool import Encoded, EncodePool
from service.scoring.encode_threads import EncodeThreads
from service.scoring.types import Chat, Item, ItemScore, TokenIds
from tests.service.fakes import (
    MAX_CHARACTERS,
    MAX_TOKENS,
    FakeEngine,
    ScriptedEncoder,
    encode,
    model,
)


def picky(conversation: Conversation) -> Sequence:
    match conversation[-1].content:
        case "refused":
            raise Unencodable("the template says no")
        case "odd":
            raise StopIteration
        case _:
            return encode(conversation)


@pytest.fixture
def threads() -> Iterator[EncodeThreads]:
    threads = EncodeThreads(2, lambda: False)
    yield threads
    threads.shutdown()


T = TypeVar("T")


class Recording(EncodeThreads):
    """Notes of every slice of work how it is run."""

    def __init__(self) -> None:
        super().__init__(1, lambda: False)
        self.slices: list[tuple[Priority, bool]] = []

    async def run(self, priority: Priority, work: Callable[[], T], *, rests: bool = False) -> T:
        self.slices.append((priority, rests))
        return await super().run(priority, work, rests=rests)


def chats(*answers: str) -> list[Item]:
    return [Chat((Message("user", "p"), Message("assistant", answer))) for answer in answers]


async def test_order_is_kept_over_many_chunks(threads: EncodeThreads) -> None:
    pool = EncodePool(model(), threads)
    answers = [f"answer {number}" for number in range(100)]
    encoded = await pool.encode(chats(*answers))
    assert encoded == [
        Encoded(encode((Message("user", "p"), Message("assistant", answer)))) for answer in answers
    ]


@pytest.mark.parametrize(("in_flight", "rests"), [(1, True), (2, False)])
async def test_bulk_work_is_in_small_slices_that_rest_where_the_engine_needs_the_cores(
    in_flight: int, rests: bool
) -> None:
    threads = Recording()
    pool = EncodePool(model(FakeEngine(batches_in_flight=in_flight)), threads)
    for priority in PRIORITIES:
        await pool.encode(chats(*"sixteen answers:"), priority=priority)
    threads.shutdown()
    assert threads.slices == [("interactive", rests), *([("bulk", rests)] * 4)]


async def test_one_bad_text_leaves_its_neighbours_alone(
    threads: EncodeThreads, caplog: pytest.LogCaptureFixture
) -> None:
    pool = EncodePool(replace(model(), encoder=ScriptedEncoder(picky)), threads)
    texts = chats("fine", "x" * MAX_TOKENS, "refused", "odd", "fine")
    first, long, refused, odd, last = await pool.encode(texts)
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


async def test_what_cannot_fit_is_refused_without_encoding_it(threads: EncodeThreads) -> None:
    def untouched(_: Conversation) -> Sequence:
        raise AssertionError

    pool = EncodePool(replace(model(), encoder=ScriptedEncoder(untouched)), threads)
    (hopeless,) = await pool.encode(chats("x" * MAX_CHARACTERS))
    assert isinstance(hopeless, ItemScore)
    assert hopeless.error is not None
    assert hopeless.error.code == "too_long"
    assert f"has {MAX_CHARACTERS + 1} characters" in hopeless.error.message


async def test_texts_and_tokens_are_taken_as_they_are(threads: EncodeThreads) -> None:
    subjects: list[Item] = [
        Rendered("abc"),
        TokenIds((1, 2)),
        TokenIds(()),
        TokenIds((10**6,)),
        Rendered(""),
    ]
    text, ids, *wrong = await EncodePool(model(), threads).encode(subjects)
    assert text == Encoded(encode((Message("user", "abc"),)))
    assert ids == Encoded(Sequence((1, 2), (1,)))
    codes = [entry.error and entry.error.code for entry in wrong if isinstance(entry, ItemScore)]
    assert codes == ["empty", "unencodable", "empty"]


async def test_a_long_prompt_is_cut_where_that_is_asked_for(threads: EncodeThreads) -> None:
    pool, answer = EncodePool(model(), threads), "a" * 20
    long = Chat((Message("user", "b" * MAX_TOKENS + "e"), Message("assistant", answer)))
    hopeless = Chat((Message("user", "b"), Message("assistant", "a" * (MAX_TOKENS + 1))))
    cut, too_long = await pool.encode([long, hopeless], "truncate_prompt")
    assert isinstance(cut, Encoded)
    assert cut.dropped == 21
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

    thread = EncodeThreads(1, lambda: False)
    pool = EncodePool(replace(model(), encoder=ScriptedEncoder(slow)), thread)
    caller = asyncio.create_task(pool.encode(chats(*"many texts in three chunks of 16" * 2)))
    await asyncio.to_thread(begun.wait, 10)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    go_on.set()
    await thread.run("interactive", lambda: None)
    thread.shutdown()
    assert len(encoded) == 1


async def test_the_plan_puts_sequences_beside_those_they_share_most_with(
    threads: EncodeThreads,
) -> None:
    unsharing = FakeEngine()
    unsharing.facts = replace(unsharing.facts, shares_prefixes=False)
    texts = {key: encode((Message("user", text),)) for key, text in enumerate(["ab1", "cd", "ab2"])}
    shared = await EncodePool(model(), threads).plan(texts)
    assert list(shared.items()) == [(0, 3), (2, 1), (1, 2)]
    unshared = await EncodePool(model(unsharing), threads).plan(texts)
    assert list(unshared.items()) == [(0, 3), (1, 2), (2, 3)]
