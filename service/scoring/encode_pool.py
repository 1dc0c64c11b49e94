"""Turns items into token sequences on worker threads, so that the event loop is never held up."""

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from reward_model.packing import Sequence, new_tokens
from reward_model.text.chat import ROLES, SAYING_KEYS, Unencodable
from reward_model.text.encoding import Rendered, TooLong
from reward_model.text.tokenizing import Stopped
from reward_model.text.truncation import Truncator
from service.errors import ItemError
from service.scheduling.queue import Priority
from service.scoring.model import Model
from service.scoring.types import (
    Chat,
    Item,
    ItemScore,
    OverLength,
    TokenIds,
    tokens_at_least,
)

_log = logging.getLogger(__name__)

T = TypeVar("T")

_CHUNK_ITEMS: dict[Priority, int] = {"interactive": 16, "bulk": 4}
"""Items that a thread encodes in one go. Requests take turns between chunks; bulk chunks are small
because bulk work pauses between them, too."""

_PAUSE_FACTOR = 7.0
"""After a bulk chunk that took t seconds, its slot pauses for 7 t while interactive requests are in
flight: a duty cycle of 1/8."""

_MAX_TRUNCATION = 16
"""A conversation may be this many times as long as the model takes and still be truncated. All of
it is encoded first, so the limit bounds that work."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """An item's token sequence, and how many tokens of its prompt were dropped to make it fit."""

    sequence: Sequence
    dropped_tokens: int = 0


def encoding_cost(entry: Encoded | ItemScore) -> int:
    """Return the tokens that a quota counts for encoding an item, beside what is computed of it.

    An item that leads to no score costs all that was encoded, and so does what was cut out of it.
    Otherwise encoding costs a tenth of the tokens: it is many times faster than computing them.
    """
    if isinstance(entry, ItemScore):
        return entry.encoded_tokens
    return entry.dropped_tokens + 1 + len(entry.sequence.ids) // 10


class EncodePool:
    """Encodes for all models. Lives on one event loop.

    Args:
        threads: the number of threads. Bulk work leaves one of them to interactive work, if there
            are at least two. One request has at most this many chunks in flight, so that requests
            take turns.
        interactive: tells whether interactive requests are in flight, whether encoded or not.
        sleep: pauses between bulk chunks.
    """

    def __init__(
        self,
        threads: int,
        interactive: Callable[[], bool],
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._threads = ThreadPoolExecutor(threads, "encode")
        self._chunks_per_request = threads
        # With one thread, bulk work takes turns with interactive work, one chunk at a time.
        self._bulk_slots = asyncio.Semaphore(max(1, threads - 1))
        self._interactive = interactive
        self._sleep = sleep
        self._closing = threading.Event()
        # When each piece of work that is on a thread now began.
        self._begun: dict[object, float] = {}

    @property
    def running_for(self) -> float:
        """Seconds for which the oldest piece of work has been on its thread; 0 without any."""
        now = time.monotonic()
        return now - min(list(self._begun.values()), default=now)

    async def encode(
        self,
        model: Model,
        items: list[Item],
        over_length: OverLength = "error",
        priority: Priority = "interactive",
        spend: Callable[[int], None] = lambda _: None,
    ) -> list[Encoded | ItemScore]:
        """Encode items: one entry per item, in order, which is its sequence or its error.

        When the caller is cancelled, items that are not encoded yet never will be.

        Args:
            spend: told the cost of what is encoded, piece by piece.
        """
        cancelled, size = threading.Event(), _CHUNK_ITEMS[priority]
        slots = asyncio.Semaphore(self._chunks_per_request)

        def stop() -> bool:
            # Cancelling the caller does not reach a running thread, so the thread looks itself.
            return cancelled.is_set() or self._closing.is_set()

        truncates = over_length == "truncate_prompt"
        truncator = Truncator(model.encoder, stop) if truncates else None

        def encode_chunk(chunk: list[Item]) -> list[Encoded | ItemScore]:
            encoded = []
            for item in chunk:
                if stop():
                    raise Stopped
                encoded.append(encode_item(model, item, truncator))
            return encoded

        async def run_chunk(start: int) -> list[Encoded | ItemScore]:
            async with slots:
                chunk = await self.run(
                    model, priority, partial(encode_chunk, items[start : start + size])
                )
            spend(sum(map(encoding_cost, chunk)))
            return chunk

        try:
            chunks = await asyncio.gather(*map(run_chunk, range(0, len(items), size)))
        finally:
            cancelled.set()
        return [entry for chunk in chunks for entry in chunk]

    async def plan(
        self, model: Model, sequences: list[Sequence], priority: Priority = "interactive"
    ) -> list[tuple[int, int]]:
        """Return the order in which to queue a request's sequences: pairs of index and new tokens.

        In sorted order, every sequence follows the one it shares most with. The queue looks for
        such relatives only among the jobs that waited longest, so they should be neighbors there.
        """
        shares_prefixes = model.engine.facts.shares_prefixes
        if len(sequences) < 2:
            # There is nothing to sort, and waking a thread would take longer than the rest.
            return list(enumerate(new_tokens(sequences, shares_prefixes=shares_prefixes)))

        def sort() -> list[tuple[int, int]]:
            order = list(range(len(sequences)))
            if shares_prefixes:
                order.sort(key=lambda index: sequences[index].ids)
            ordered = [sequences[index] for index in order]
            counts = new_tokens(ordered, shares_prefixes=shares_prefixes)
            return list(zip(order, counts, strict=True))

        return await self.run(model, priority, sort)

    async def run(self, model: Model, priority: Priority, work: Callable[[], T]) -> T:
        """Run a short piece of work on one of the threads and return its result.

        An engine on a CPU computes on the cores that encoding needs. A flood of bulk texts would
        slow down every interactive answer long before the queue gives bulk work a turn, so bulk
        work pauses there.
        """

        def timed() -> T:
            key = object()
            self._begun[key] = time.monotonic()
            try:
                return work()
            finally:
                del self._begun[key]

        loop = asyncio.get_running_loop()
        if priority == "interactive":
            return await loop.run_in_executor(self._threads, timed)
        async with self._bulk_slots:
            started = time.monotonic()
            done = await loop.run_in_executor(self._threads, timed)
            if model.engine.batching.shares_cores and self._interactive():
                await self._sleep(_PAUSE_FACTOR * (time.monotonic() - started))
        return done

    def shutdown(self) -> None:
        """Let the threads end after the text that each has; no other text is begun."""
        self._closing.set()
        self._threads.shutdown(wait=False, cancel_futures=True)


def encode_item(
    model: Model, item: Item, truncator: Truncator | None = None
) -> Encoded | ItemScore:
    """Encode one item, or say why that cannot be done.

    Args:
        truncator: makes what is too long fit; None leaves it an error.
    """
    if refusal := refuse_unread(model, item, truncates=truncator is not None):
        return ItemScore(0, error=refusal)
    encoder = model.encoder
    try:
        match item:
            case TokenIds(ids):
                return Encoded(encoder.checked(list(ids)))
            case Rendered():
                return Encoded(encoder.encode_rendered(item))
            case Chat(step_ends=step_ends, inputs=inputs):
                conversation = item.conversation
                if truncator is None:
                    return Encoded(encoder.encode(conversation, step_ends or (), inputs))
                sequence, _, dropped = truncator.encode(conversation, step_ends or (), inputs)
                return Encoded(sequence, dropped)
    except TooLong as error:
        tokens, refusal = error.tokens, ItemError("too_long", str(error))
    except Unencodable as error:
        tokens, refusal = 0, ItemError("unencodable", str(error))
    except Stopped:
        raise
    except BaseException as error:  # noqa: BLE001 - one odd text must not fail its neighbors
        # Also what is no Exception, such as a panic in the tokenizer's Rust.
        _log.error("encoder fault: %s", type(error).__name__, exc_info=error)
        tokens, refusal = 0, ItemError("unencodable", "this text cannot be encoded: change it")
    return ItemScore(tokens, error=refusal, encoded_tokens=max(tokens, tokens_at_least(item)))


def refuse_unread(model: Model, item: Item, *, truncates: bool) -> ItemError | None:
    """Return the error of an item that no tokenizer need see: empty, no Unicode, or far too long.

    It costs no encoding, so megabytes of text are refused at once.
    """
    limit = model.encoder.max_tokens
    match item:
        case Chat(prompt, answer, _, inputs):
            # An answer may be a call of a tool alone.
            empty = not answer.content and answer.turn().keys().isdisjoint(SAYING_KEYS)
            texts = [inputs.tools, inputs.kwargs]
            # Looked at before the turns, of which there may be many for each of many candidates.
            if not empty and len(prompt) >= limit:
                return ItemError(
                    "too_long",
                    f"the conversation has {len(prompt) + 1} turns and this model takes {limit} "
                    "tokens: send fewer turns",
                )
            if not empty:
                turns = (*prompt, answer)
                texts += [text for turn in turns for text in (turn.content, turn.extra)]
                # A role may be as long as any text, but for the usual ones.
                texts += {turn.role for turn in turns} - ROLES
        case TokenIds(ids):
            # The number of ids is checked exactly when they are encoded, which costs nothing.
            empty, texts = not ids, []
        case Rendered(text):
            empty, texts = not text, [text]
    if empty:
        return ItemError("empty", "an empty candidate has nothing to score")
    characters = sum(map(len, texts))
    if characters > model.max_characters * (_MAX_TRUNCATION if truncates else 1):
        return ItemError(
            "too_long",
            f"the conversation has {characters} characters, more than the {limit} tokens this "
            "model takes can hold: shorten the prompt or the candidate",
        )
    try:
        # JSON can spell half a surrogate pair, for which UTF-8 and tokenizers have nothing.
        for text in texts:
            text.encode()
    except UnicodeEncodeError:
        return ItemError(
            "unencodable", "a text holds half a surrogate pair, which is no character: leave it out"
        )
    return None
