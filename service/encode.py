"""Conversations -> sequences on worker threads, so that the event loop never is held up."""

import asyncio
import logging
import threading
from concurrent.futures import Executor

from reward_model.chat import Conversation, Unencodable
from reward_model.encoding import TooLong
from reward_model.packing import Sequence, new_tokens
from service.ask import ItemScore
from service.errors import ItemError
from service.model import Model

_log = logging.getLogger(__name__)

_CHUNK = 16
"""Conversations per task: small, so that requests take turns on the threads."""


class EncodePool:
    """Encodes for one model.

    Args:
        model: says how, and how much is too much.
        threads: what encodes; shared by all requests.
        at_once: chunks of one request that may wait for a thread, so that requests take turns.
    """

    def __init__(self, model: Model, threads: Executor, *, at_once: int = 2) -> None:
        self._model = model
        self._threads = threads
        self._at_once = at_once

    async def encode(self, conversations: list[Conversation]) -> list[Sequence | ItemScore]:
        """One entry per conversation, in order: its sequence, or the error it ends with.

        When the caller is cancelled, what has not been encoded yet is left.
        """
        loop, left = asyncio.get_running_loop(), threading.Event()
        turn = asyncio.Semaphore(self._at_once)

        async def encode(start: int) -> list[Sequence | ItemScore]:
            chunk = conversations[start : start + _CHUNK]
            async with turn:
                return await loop.run_in_executor(self._threads, self._encode_chunk, chunk, left)

        tasks = map(encode, range(0, len(conversations), _CHUNK))
        try:
            return [entry for chunk in await asyncio.gather(*tasks) for entry in chunk]
        finally:
            left.set()

    async def plan(self, sequences: dict[int, Sequence]) -> dict[int, int]:
        """In which order to run them, and the new tokens of each: key -> new tokens.

        Sorted, every sequence follows the one it shares most with, so that a batch's budget,
        which only looks at neighbours, counts exactly what is computed.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._plan, sequences)

    def _plan(self, sequences: dict[int, Sequence]) -> dict[int, int]:
        if not self._model.engine.shares_prefixes:
            return {key: len(sequence.ids) for key, sequence in sequences.items()}
        order = sorted(sequences, key=lambda key: sequences[key].ids)
        counts = new_tokens([sequences[key] for key in order])
        return dict(zip(order, counts, strict=True))

    def _encode_chunk(
        self, chunk: list[Conversation], left: threading.Event
    ) -> list[Sequence | ItemScore]:
        return [self._encode_one(conversation) for conversation in chunk if not left.is_set()]

    def _encode_one(self, conversation: Conversation) -> Sequence | ItemScore:
        if not conversation[-1].content:
            return ItemScore(0, error=ItemError("empty", "an empty candidate has nothing to score"))
        if len(conversation) > self._model.engine.max_tokens:
            return ItemScore(0, error=ItemError("too_long", self._endless(len(conversation))))
        if (characters := _characters(conversation)) > self._model.max_characters:
            return ItemScore(0, error=ItemError("too_long", self._hopeless(characters)))
        try:
            return self._model.encode(conversation)
        except TooLong as error:
            return ItemScore(error.tokens, error=ItemError("too_long", str(error)))
        except Unencodable as error:
            return ItemScore(0, error=ItemError("unencodable", str(error)))
        except Exception as error:  # noqa: BLE001 - one odd text must not fail its neighbours
            _log.error("encoder fault: %s", type(error).__name__, exc_info=error)
            return ItemScore(0, error=ItemError("unencodable", "this text cannot be encoded"))

    def _endless(self, turns: int) -> str:
        return (
            f"the conversation has {turns} turns and this model takes "
            f"{self._model.engine.max_tokens} tokens: shorten it"
        )

    def _hopeless(self, characters: int) -> str:
        return (
            f"the conversation has {characters} characters, more than the "
            f"{self._model.engine.max_tokens} tokens this model takes can hold: "
            "shorten the prompt or the candidate"
        )


def _characters(conversation: Conversation) -> int:
    return sum(len(message.content) for message in conversation)
