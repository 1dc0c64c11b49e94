"""What is scored: a request with its answers, of which some are known to be right."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

from trainer.pairs.row import PreferenceRow, Request

STEP = "\n\n"
"""Joins the steps of an answer that is given in steps."""

Answer = str | tuple[str, ...]
"""A text, or its steps, none of which is white space alone."""


@dataclass(frozen=True)
class Question:
    """A request and its answers, all of them texts or all of them in steps.

    Attributes:
        group: unit of hold-out and of resampling. A package, a problem, a passage.
        correct: which answers are right, in their order.
        kinds: how each answer was made, or by whom.
        source: the data set it is from.
    """

    id: str
    group: str
    prompt: Request
    answers: tuple[Answer, ...]
    correct: tuple[bool, ...]
    kinds: tuple[str, ...] = ()
    source: str = ""

    def __post_init__(self) -> None:
        assert len(self.answers) == len(self.correct)
        assert len(self.kinds) in {0, len(self.answers)}
        assert len({isinstance(answer, tuple) for answer in self.answers}) <= 1

    def kind(self, index: int) -> str:
        """Of the answer at `index`; empty where nothing is known."""
        return self.kinds[index] if self.kinds else ""

    def only(self, kept: Sequence[int]) -> Self:
        """The same request with the answers at these places."""
        return replace(
            self,
            answers=tuple(self.answers[index] for index in kept),
            correct=tuple(self.correct[index] for index in kept),
            kinds=tuple(self.kinds[index] for index in kept) if self.kinds else (),
        )

    @property
    def stepped(self) -> bool:
        return any(isinstance(answer, tuple) for answer in self.answers)


@dataclass(frozen=True)
class Reading:
    """What came of one answer.

    Attributes:
        scores: raw, at the end of each step and then of the whole; empty where there is an error.
        error: why there is no score, by the codes of the service's `POST /v1/score`.
    """

    scores: tuple[float, ...] = ()
    error: str = ""


def question_of(row: PreferenceRow) -> Question:
    """Its chosen answer first, the only one that is right."""
    return Question(
        id=row.id,
        group=row.group,
        prompt=row.prompt,
        answers=(row.chosen, *(rival.text for rival in row.rejected)),
        correct=(True, *(False for _ in row.rejected)),
        kinds=("chosen", *(rival.kind for rival in row.rejected)),
        source=row.source,
    )


def text_of(answer: Answer) -> str:
    """The whole answer as the model reads it."""
    return answer if isinstance(answer, str) else STEP.join(answer)


def step_ends(answer: Answer) -> tuple[int, ...]:
    """Characters up to the end of each step, white space at its end not counted."""
    if isinstance(answer, str):
        return ()
    ends, start = [], 0
    for step in answer:
        ends.append(start + len(step.rstrip()))
        start += len(step) + len(STEP)
    return tuple(ends)


def unaskable(prompt: Request) -> str:
    """Why no answer to this request can be scored, or nothing."""
    turns = [("user", prompt)] if isinstance(prompt, str) else prompt
    if not turns or not all(content for _, content in turns):
        return "empty request"
    return "request ends on the assistant" if turns[-1][0] == "assistant" else ""
