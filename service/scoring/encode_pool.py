"""Subjects -> sequences on worker threads, so that the event loop never is held up."""

import asyncio
import logging
import threading
from dataclasses import dataclass
from functools import partial

from reward_model.packing import Sequence, new_tokens
from reward_model.text.chat import Conversation, Unencodable
from reward_model.text.encoding import Rendered, TooLong
from reward_model.text.truncation import truncated
from service.errors import ItemError
from service.scheduling.queue import Priority
from service.scoring.encode_threads import EncodeThreads
from service.scoring.model import Model
from service.scoring.types import Chat, Item, ItemScore, OverLength, TokenIds

_log = logging.getLogger(__name__)

_CHUNK: dict[Priority, int] = {"interactive": 16, "bulk": 4}
"""Subjects per task: small, so that requests take turns on the threads, and bulk work can rest."""

_CUT_AT_MOST = 16
"""Times what the model takes that a conversation may be, to be cut: all of it is encoded first."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """A subject's sequence, and how many tokens of its prompt were dropped."""

    sequence: Sequence
    dropped: int = 0


class EncodePool:
    """Encodes for one model.

    Args:
        model: says how, and how much is too much.
        threads: what encodes; shared by all requests.
        at_once: chunks of one request that may wait for a thread, so that requests take turns.
    """

    def __init__(self, model: Model, threads: EncodeThreads, *, at_once: int = 2) -> None:
        self._model = model
        self._threads = threads
        self._at_once = at_once

    async def encode(
        self,
        subjects: list[Item],
        over_length: OverLength = "error",
        priority: Priority = "interactive",
    ) -> list[Encoded | ItemScore]:
        """One entry per subject, in order: its sequence, or the error it ends with.

        When the caller is cancelled, what has not been encoded yet is left.
        """
        left, size = threading.Event(), _CHUNK[priority]
        turn = asyncio.Semaphore(self._at_once)

        async def encode(start: int) -> list[Encoded | ItemScore]:
            chunk = subjects[start : start + size]
            work = partial(self._encode_chunk, chunk, over_length, left)
            async with turn:
                return await self._threads.run(
                    priority, work, rests=self._model.engine.batching.shares_cores
                )

        tasks = map(encode, range(0, len(subjects), size))
        try:
            return [entry for chunk in await asyncio.gather(*tasks) for entry in chunk]
        finally:
            left.set()

    async def plan(
        self, sequences: dict[int, Sequence], priority: Priority = "interactive"
    ) -> dict[int, int]:
        """In which order to run them, and the new tokens of each: key -> new tokens.

        Sorted, every sequence follows the one it shares most with, so that a batch's budget,
        which only looks at neighbours, counts exactly what is computed.
        """
        return await self._threads.run(priority, partial(self._plan, sequences))

    def _plan(self, sequences: dict[int, Sequence]) -> dict[int, int]:
        if not self._model.engine.facts.shares_prefixes:
            return {key: len(sequence.ids) for key, sequence in sequences.items()}
        order = sorted(sequences, key=lambda key: sequences[key].ids)
        counts = new_tokens([sequences[key] for key in order])
        return dict(zip(order, counts, strict=True))

    def _encode_chunk(
        self, chunk: list[Item], over_length: OverLength, left: threading.Event
    ) -> list[Encoded | ItemScore]:
        return [self._encode_one(subject, over_length) for subject in chunk if not left.is_set()]

    def _encode_one(self, subject: Item, over_length: OverLength) -> Encoded | ItemScore:
        if not _content(subject):
            return ItemScore(0, error=ItemError("empty", "an empty candidate has nothing to score"))
        cuts = over_length == "truncate_prompt"
        if hopeless := self._hopeless(subject, _CUT_AT_MOST if cuts else 1):
            return ItemScore(0, error=ItemError("too_long", hopeless))
        try:
            if cuts and isinstance(subject, Chat):
                return self._fitted(subject)
            return Encoded(self._sequence(subject))
        except TooLong as error:
            return ItemScore(error.tokens, error=ItemError("too_long", str(error)))
        except Unencodable as error:
            return ItemScore(0, error=ItemError("unencodable", str(error)))
        except Exception as error:  # noqa: BLE001 - one odd text must not fail its neighbours
            _log.error("encoder fault: %s", type(error).__name__, exc_info=error)
            return ItemScore(0, error=ItemError("unencodable", "this text cannot be encoded"))

    def _sequence(self, subject: Item) -> Sequence:
        encoder = self._model.encoder
        match subject:
            case Chat(conversation, step_ends):
                return encoder.encode(conversation, step_ends)
            case TokenIds(ids):
                return encoder.checked(list(ids))
            case Rendered():
                return encoder.encode_rendered(subject)

    def _fitted(self, subject: Chat) -> Encoded:
        try:
            return Encoded(self._sequence(subject))
        except TooLong:
            conversation, dropped = truncated(self._model.encoder, subject.conversation)
        return Encoded(self._sequence(Chat(conversation, subject.step_ends)), dropped)

    def _hopeless(self, subject: Item, times: int) -> str | None:
        """Why a subject is too long that need not be encoded to know it."""
        limit = self._model.encoder.max_tokens
        if isinstance(subject, Chat) and len(subject.conversation) > limit:
            turns = len(subject.conversation)
            return f"the conversation has {turns} turns and this model takes {limit} tokens"
        length, most = _length(subject), times * self._model.max_characters
        if isinstance(subject, TokenIds) or length <= most:
            return None
        return (
            f"the conversation has {length} characters, more than the {limit} tokens this model "
            "takes can hold: shorten the prompt or the candidate"
        )


def _content(subject: Item) -> object:
    """What is empty if there is nothing to score."""
    match subject:
        case Chat(conversation):
            return conversation[-1].content
        case TokenIds(ids):
            return ids
        case Rendered(text):
            return text


def _length(subject: Item) -> int:
    """Characters, or tokens where those are given."""
    match subject:
        case Chat(conversation):
            return characters(conversation)
        case TokenIds(ids):
            return len(ids)
        case Rendered(text):
            return len(text)


def characters(conversation: Conversation) -> int:
    return sum(len(message.content) for message in conversation)
