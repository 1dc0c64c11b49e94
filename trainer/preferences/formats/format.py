"""What every format is brought to: one request, and answers some of which are known as better."""

from dataclasses import dataclass
from typing import ClassVar, Protocol

from trainer.pairs.row import Request
from trainer.tables.record import Record


@dataclass(frozen=True)
class RatedAnswer:
    """An answer, and how good it is.

    Attributes:
        rating: the higher the better; compared with those of the same request alone.
        kind: what it is called where it is the rejected one.
        model: who wrote it, where that is known.
    """

    text: str
    rating: float
    kind: str = "rejected"
    model: str = ""


@dataclass(frozen=True)
class RatedAnswers:
    """A request with its answers.

    Attributes:
        group: unit of hold-out.
        rated: whether differences of ratings say by how much an answer is better.
    """

    prompt: Request
    answers: tuple[RatedAnswer, ...]
    group: str
    rated: bool = False


class Format(Protocol):
    """How rows of one shape are read. `merges`: rows of the same request belong together."""

    merges: ClassVar[bool]

    @property
    def kind(self) -> str: ...

    @property
    def columns(self) -> tuple[str, ...]:
        """What every row must have."""

    def judge(self, record: Record) -> RatedAnswers:
        """Raises Unusable with the reason."""
