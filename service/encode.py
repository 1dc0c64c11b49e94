"""Conversations -> sequences on worker threads, so that the event loop never is held up."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Executor

from reward_model.chat import Conversation, Unencodable
from reward_model.encoding import TooLong
from reward_model.packing import Sequence, new_tokens
from service.ask import ItemScore
from service.errors import ItemError

_log = logging.getLogger(__name__)

_CHUNK = 16
"""Conversations per task: small, so that requests take turns on the threads."""


class EncodePool:
    """Encodes for one model.

    Args:
        encode: the model's own; thread-safe.
        shares_prefixes: whether its engine computes a shared prefix once.
    """

    def __init__(
        self,
        encode: Callable[[Conversation], Sequence],
        threads: Executor,
        *,
        shares_prefixes: bool,
    ) -> None:
        self._encode = encode
        self._threads = threads
        self._shares_prefixes = shares_prefixes

    async def encode(self, conversations: list[Conversation]) -> list[Sequence | ItemScore]:
        """One entry per conversation, in order: its sequence, or the error it ends with."""
        loop = asyncio.get_running_loop()
        chunks = await asyncio.gather(
            *(
                loop.run_in_executor(
                    self._threads, self._encode_chunk, conversations[start : start + _CHUNK]
                )
                for start in range(0, len(conversations), _CHUNK)
            )
        )
        return [entry for chunk in chunks for entry in chunk]

    async def plan(self, sequences: dict[int, Sequence]) -> dict[int, int]:
        """In which order to run them, and the new tokens of each: key -> new tokens.

        Sorted, every sequence follows the one it shares most with, so that a batch's budget,
        which only looks at neighbours, counts exactly what is computed.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._plan, sequences)

    def _plan(self, sequences: dict[int, Sequence]) -> dict[int, int]:
        if not self._shares_prefixes:
            return {key: len(sequence.ids) for key, sequence in sequences.items()}
        order = sorted(sequences, key=lambda key: sequences[key].ids)
        counts = new_tokens([sequences[key] for key in order])
        return dict(zip(order, counts, strict=True))

    def _encode_chunk(self, chunk: list[Conversation]) -> list[Sequence | ItemScore]:
        return [self._encode_one(conversation) for conversation in chunk]

    def _encode_one(self, conversation: Conversation) -> Sequence | ItemScore:
        try:
            return self._encode(conversation)
        except TooLong as error:
            return ItemScore(error.tokens, error=ItemError("too_long", str(error)))
        except Unencodable as error:
            return ItemScore(0, error=ItemError("unencodable", str(error)))
        except Exception as error:  # noqa: BLE001 - one odd text must not fail its neighbours
            _log.error("encoder fault: %s", type(error).__name__, exc_info=error)
            return ItemScore(0, error=ItemError("unencodable", "this text cannot be encoded"))
