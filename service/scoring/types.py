"""What a scoring request asks for, and what comes back. Plain values, alike for every dialect."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from reward_model.text.chat import Conversation, Message
from reward_model.text.encoding import Rendered
from service.errors import ItemError
from service.scheduling.queue import Priority

OverLength = Literal["error", "truncate_prompt"]


@dataclass(frozen=True, slots=True)
class Chat:
    """A whole conversation to score.

    Attributes:
        step_ends: ascending; characters of the answer after which a score is wanted, too.
    """

    conversation: Conversation
    step_ends: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class TokenIds:
    """A text that its sender turned into tokens."""

    ids: tuple[int, ...]


Item = Chat | Rendered | TokenIds
"""One item to score."""


@dataclass(frozen=True, slots=True)
class Input:
    """A conversation so far, and the assistant's possible answers to it.

    Attributes:
        step_ends: as of `Chat`, for each candidate; empty where no steps are asked for.
    """

    prompt: Conversation
    candidates: tuple[str, ...]
    step_ends: tuple[tuple[int, ...], ...] = ()

    def subjects(self) -> list[Item]:
        ends = self.step_ends or ((),) * len(self.candidates)
        return [
            Chat((*self.prompt, Message("assistant", candidate)), steps)
            for candidate, steps in zip(self.candidates, ends, strict=True)
        ]


@dataclass(frozen=True, slots=True)
class Prerendered:
    """One item as it is: no prompt and candidates are told apart."""

    subject: Item

    def subjects(self) -> list[Item]:
        return [self.subject]


@dataclass(frozen=True, slots=True)
class ScoringRequest:
    """A scoring request. `timeout` is in seconds; None waits as long as it takes.

    Attributes:
        over_length: what becomes of a conversation that is longer than the model takes.
    """

    inputs: tuple[Input | Prerendered, ...]
    priority: Priority = "interactive"
    timeout: float | None = None
    over_length: OverLength = "error"

    @property
    def items(self) -> int:
        return sum(
            len(entry.candidates) if isinstance(entry, Input) else 1 for entry in self.inputs
        )

    @property
    def wants_steps(self) -> bool:
        return any(isinstance(entry, Input) and entry.step_ends for entry in self.inputs)


@dataclass(frozen=True, slots=True)
class ItemScore:
    """Raw and calibrated score, or why there is none. `tokens` is 0 if it has no encoding.

    `cached` scores were computed for an earlier request. `steps` are raw scores at the step ends
    asked for. `dropped` tokens were cut out of the prompt, because that was asked for.
    """

    tokens: int
    raw: float | None = None
    normalized: float | None = None
    error: ItemError | None = None
    cached: bool = False
    steps: tuple[float, ...] = ()
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class Timings:
    """Seconds, one after the other from `started`, a time on the scorer's clock.

    `queue` ends when the first job starts, `infer` when the last one ends.
    """

    started: float
    admit: float
    encode: float
    queue: float
    infer: float
    total: float


@dataclass(frozen=True, slots=True)
class Scored:
    """Per input and candidate, in the order asked.

    `computed_tokens` went through the engine for this request; `saved_tokens` did not have to,
    because their prefixes were in the same batch already.
    """

    model: str
    version: str
    inputs: tuple[tuple[ItemScore, ...], ...]
    computed_tokens: int
    saved_tokens: int
    timings: Timings

    def items(self) -> Iterator[ItemScore]:
        return (item for entry in self.inputs for item in entry)

    @property
    def tokens(self) -> int:
        """Tokens of every candidate's whole conversation, whether it was scored or not."""
        return sum(item.tokens for item in self.items())

    @property
    def cached(self) -> int:
        """Candidates whose score was known before."""
        return sum(item.cached for item in self.items())

    @property
    def computed(self) -> int:
        """Candidates that went through the engine and have a score."""
        return sum(item.raw is not None and not item.cached for item in self.items())

    def errors(self) -> Counter[str]:
        """Candidates without a score, by the code of their error."""
        return Counter(item.error.code for item in self.items() if item.error)


def rank(items: tuple[ItemScore, ...]) -> list[int]:
    """Indices of the scored candidates, best first; of equals the earlier one goes first."""
    scored = [(-item.raw, index) for index, item in enumerate(items) if item.raw is not None]
    return [index for _, index in sorted(scored)]
