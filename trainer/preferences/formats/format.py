"""The protocol of all formats: a row becomes one request with rated answers.

To add a format, write its file in this folder and add its class to the union
`trainer.preferences.source.AnyFormat`.
"""

from dataclasses import dataclass
from typing import ClassVar, Protocol, Self

from reward_model.text.chat import NO_INPUTS, Conversation, Message, TemplateInputs
from trainer.pairs.row import Request, answer_text
from trainer.tables.record import Record


@dataclass(frozen=True)
class RatedAnswer:
    """An answer, and how good it is.

    Attributes:
        rating: higher is better; only ratings of the same request are compared.
        kind: kind of rejected answer that it is, if it is rejected.
        model: the model that wrote it; empty when unknown.
        turns: its messages, where it is more than one text of the assistant's.
    """

    text: str
    rating: float
    kind: str = "rejected"
    model: str = ""
    turns: Conversation = ()

    @classmethod
    def of(
        cls, turns: Conversation, rating: float, kind: str = "rejected", model: str = ""
    ) -> Self:
        """An answer of these messages."""
        text = answer_text(turns)
        plain = turns == (Message("assistant", text),)
        return cls(text, rating, kind, model, () if plain else turns)


@dataclass(frozen=True)
class RatedAnswers:
    """A request with its answers.

    Attributes:
        group: unit of hold-out.
        rated: whether a difference of ratings is a margin, by how much an answer is better.
        inputs: what the template is given beside messages.
        aspect: the criterion that the ratings are by; the source fills it in, for every format.
    """

    prompt: Request
    answers: tuple[RatedAnswer, ...]
    group: str
    rated: bool = False
    inputs: TemplateInputs = NO_INPUTS
    aspect: str = ""


class Format(Protocol):
    """A reader of rows of one shape.

    Attributes:
        merges: whether rows with the same request are answers to be compared with each other.
    """

    merges: ClassVar[bool]

    @property
    def kind(self) -> str: ...

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that every row must have."""

    def rate(self, record: Record) -> RatedAnswers:
        """The row's request and answers. Raises Unusable with the reason against the row."""
