"""Cuts a conversation that is too long: in the middle of its prompt, never in its answer."""

import heapq
from collections.abc import Callable
from dataclasses import dataclass

from reward_model.packing import Sequence
from reward_model.text.chat import NO_INPUTS, Conversation, TemplateInputs
from reward_model.text.encoding import Encoder, TokenSpans, TooLong
from reward_model.text.tokenizing import Stopped

_EXACT_ROUNDS = 4
"""Rounds in which as much is cut as is too much. Joining what is left may give other tokens than
were counted; after these rounds each cuts twice as much as the one before, so that it ends."""


@dataclass(slots=True)
class _Turn:
    """A turn of a prompt, and how many tokens are cut out of its middle."""

    content: str
    text: str
    cut: int = 0


class Truncator:
    """Makes conversations fit a model; those of one request share what is known of their turns.

    Args:
        stop: tells whether nobody wants the results any more; asked between pieces of work.
    """

    def __init__(self, encoder: Encoder, stop: Callable[[], bool] = lambda: False) -> None:
        self._encoder = encoder
        self._stop = stop
        self._spans: dict[str, TokenSpans] = {}

    def encode(
        self,
        conversation: Conversation,
        step_ends: tuple[int, ...] = (),
        inputs: TemplateInputs = NO_INPUTS,
    ) -> tuple[Sequence, Conversation, int]:
        """Encode what fits of a conversation; return that, too, and the number of tokens dropped.

        The middle of the longest turn before the answer is dropped, and then of the next longest.
        The answer and what the template writes stay as they are.

        Raises:
            TooLong: the answer leaves no room for a prompt.
            Unencodable: the template refuses the conversation or what is left of it.
            Stopped: nobody wants the result any more.
        """
        limit, encoder = self._encoder.max_tokens, self._encoder
        turns = [_Turn(message.content, message.content) for message in conversation[:-1]]
        characters = sum(len(message.content) for message in conversation)
        tokens = left = 0
        if characters > encoder.long_text:
            # Candidates of one prompt count it once. What the template writes comes on top.
            tokens = left = sum(self._length(message.content) for message in conversation)
        cut, rounds = conversation, 0
        while True:
            if self._stop():
                raise Stopped
            if left <= limit:
                try:
                    sequence = encoder.encode(cut, step_ends, inputs)
                    return sequence, cut, max(0, tokens - len(sequence.ids))
                except TooLong as error:
                    left = error.tokens
                    tokens = tokens or left
            if not self._shorten(turns, (left - limit) << max(0, rounds - _EXACT_ROUNDS)):
                raise TooLong(tokens, limit)
            pairs = zip(conversation[:-1], turns, strict=True)
            cut = (*(message._replace(content=turn.text) for message, turn in pairs), cut[-1])
            left, rounds = 0, rounds + 1

    def _shorten(self, turns: list[_Turn], excess: int) -> bool:
        """Cut tokens out of the longest turns; return whether there was anything to cut."""
        longest = [(-len(turn.text), index) for index, turn in enumerate(turns) if turn.text]
        heapq.heapify(longest)
        anything = bool(longest)
        while longest and excess > 0:
            turn = turns[heapq.heappop(longest)[1]]
            tokens = self._length(turn.content)
            if tokens - turn.cut <= excess:
                excess -= tokens - turn.cut
                turn.cut, turn.text = tokens, ""
                continue
            turn.cut += excess
            spans = self._spans[turn.content]
            # A task's statement begins and ends with what matters most.
            first = (tokens - turn.cut) // 2
            start, end = spans.starts[first], spans.ends[first + turn.cut - 1]
            turn.text = turn.content[:start] + turn.content[max(end, start + 1) :]
            break
        return anything

    def _length(self, content: str) -> int:
        """The number of tokens of a text."""
        if content not in self._spans:
            self._spans[content] = self._encoder.token_spans(content, self._stop)
        return len(self._spans[content].starts)
