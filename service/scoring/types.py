"""Values that enter and leave the scorer. Every dialect makes the same ones."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Self

from reward_model.text.chat import NO_INPUTS, Conversation, Message, TemplateInputs
from reward_model.text.encoding import Rendered
from service.errors import ItemError
from service.scheduling.queue import Priority

OverLength = Literal["error", "truncate_prompt"]


@dataclass(frozen=True, slots=True)
class Chat:
    """A conversation and the answer to it that is scored.

    Attributes:
        prompt: the turns before the answer. The candidates of a group share one tuple: there may be
            a thousand of them, and a conversation of a thousand turns.
        answer: the last turn.
        step_ends: ascending character offsets in the answer. A score is read after each of them,
            besides the one at the end. None where no scores of steps are asked for.
        inputs: what the chat template sees besides the turns.
    """

    prompt: Conversation
    answer: Message
    step_ends: tuple[int, ...] | None = None
    inputs: TemplateInputs = NO_INPUTS

    @classmethod
    def of(cls, conversation: Conversation, inputs: TemplateInputs = NO_INPUTS) -> Self:
        """Score the last turn of a conversation."""
        return cls(conversation[:-1], conversation[-1], inputs=inputs)

    @property
    def conversation(self) -> Conversation:
        return (*self.prompt, self.answer)


@dataclass(frozen=True, slots=True)
class TokenIds:
    """A text that the client has tokenized itself."""

    ids: tuple[int, ...]


Item = Chat | Rendered | TokenIds
"""One thing to score."""

CHARACTERS_PER_TOKEN = 3
"""Low for prose and for code, so that an estimate from characters is rather too high."""


def tokens_at_least(item: Item) -> int:
    """Estimate the tokens of an item from its characters, however many the model takes."""
    match item:
        case TokenIds(ids):
            return len(ids)
        case Chat(inputs=inputs):
            characters = sum(len(each.content) + len(each.extra) for each in item.conversation)
            characters += len(inputs.tools) + len(inputs.kwargs)
        case _:
            characters = len(item.text)
    return 1 + characters // CHARACTERS_PER_TOKEN


def chats(
    prompt: Conversation,
    answers: tuple[str | Message, ...],
    step_ends: tuple[tuple[int, ...], ...] | None = None,
    inputs: TemplateInputs = NO_INPUTS,
) -> tuple[Item, ...]:
    """Continue one conversation with each of the assistant's answers, texts or whole turns."""
    # None and () differ: an answer without a single step still gets an empty list of step scores.
    ends = step_ends or (None,) * len(answers)
    return tuple(
        Chat(
            prompt,
            Message("assistant", answer) if isinstance(answer, str) else answer,
            steps,
            inputs,
        )
        for answer, steps in zip(answers, ends, strict=True)
    )


ScoreType = Literal["raw_logit", "weighted_raw", "weighted_normalized"]
"""The kind of an item's raw score: the logit of a model, the weighted sum of its logits by several
criteria or labels, or the weighted sum of the normalized scores of several models."""

AskedCriteria = Mapping[str, float] | tuple[str, ...]
"""Criteria or labels to score by, with their weights; or their names alone, which have the weights
of the release. Empty asks for the score without any criterion."""


@dataclass(frozen=True, slots=True)
class ScoringRequest:
    """Items to score, and how.

    Attributes:
        inputs: groups of items; those of one group are ranked against each other.
        timeout: seconds after which the answer is of no use; None waits for as long as it takes.
        over_length: whether a conversation that is longer than the model takes becomes an error or
            loses the middle of its prompt.
        criteria: what to score by; None leaves that to the model's default.
    """

    inputs: tuple[tuple[Item, ...], ...]
    priority: Priority = "interactive"
    timeout: float | None = None
    over_length: OverLength = "error"
    criteria: AskedCriteria | None = None

    @property
    def item_count(self) -> int:
        return sum(map(len, self.inputs))

    @property
    def wants_steps(self) -> bool:
        items = (item for group in self.inputs for item in group)
        return any(isinstance(item, Chat) and item.step_ends is not None for item in items)


@dataclass(frozen=True, slots=True)
class Part:
    """One of the scores that a weighted sum is made of; None where that one has an error."""

    weight: float
    raw: float | None
    normalized: float | None
    tokens: int


@dataclass(frozen=True, slots=True)
class ItemScore:
    """The score of one item, or its error.

    Attributes:
        tokens: length of the encoded item; 0 if it could not be encoded. Of a weighted sum, the
            tokens of all its parts together.
        raw: the logit, or the weighted sum of several; None where there is an error.
        normalized: the calibrated score; None for a model without calibration.
        cached: whether the score was computed for an earlier request.
        steps: raw scores at the step ends that were asked for.
        dropped_tokens: tokens that were cut out of the prompt to make the item fit.
        encoded_tokens: tokens that were encoded to find the error; 0 where nothing was encoded.
        parts: what a weighted sum is made of, by the name of the model, criterion or label.
    """

    tokens: int
    raw: float | None = None
    normalized: float | None = None
    error: ItemError | None = None
    cached: bool = False
    steps: tuple[float, ...] = ()
    dropped_tokens: int = 0
    encoded_tokens: int = 0
    parts: Mapping[str, Part] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Timings:
    """Seconds of each phase, one after the other from `started`, a time on the scorer's clock.

    `queue` ends when the first job starts, `infer` when the last one ends.
    """

    started: float
    admit: float
    encode: float
    queue: float
    infer: float
    total: float


@dataclass(frozen=True, slots=True)
class ScoringResult:
    """One score per item, grouped and ordered as in the request.

    Attributes:
        computed_tokens: tokens that the engine worked through for this request.
        saved_tokens: tokens that it did not have to, because another text of the same batch begins
            with them.
    """

    model: str
    version: str
    inputs: tuple[tuple[ItemScore, ...], ...]
    computed_tokens: int
    saved_tokens: int
    timings: Timings

    def items(self) -> list[ItemScore]:
        return [item for group in self.inputs for item in group]

    @property
    def tokens(self) -> int:
        """Tokens of all items together, whether they were scored or not."""
        return sum(item.tokens for item in self.items())

    @property
    def cached(self) -> int:
        """The number of items whose score came from the cache."""
        return sum(item.cached for item in self.items())

    @property
    def computed(self) -> int:
        """The number of items that went through the engine and have a score."""
        return sum(item.raw is not None and not item.cached for item in self.items())

    def errors(self) -> Counter[str]:
        """The number of items without a score, by error code."""
        return Counter(item.error.code for item in self.items() if item.error)


def rank(items: tuple[ItemScore, ...]) -> list[int]:
    """Return the indices of the scored items, best first; ties are broken by index."""
    scored = [(-item.raw, index) for index, item in enumerate(items) if item.raw is not None]
    return [index for _, index in sorted(scored)]
