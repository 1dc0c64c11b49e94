"""A question to be scored: a request with its answers, of which some are known to be right."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

from reward_model.text.chat import NO_INPUTS, Conversation, TemplateInputs
from reward_model.text.steps import join_steps
from trainer.pairs.row import PreferenceRow, Request, conversation, turns

# Joins the steps of an answer that is given in steps.
STEP = "\n\n"

Answer = str | tuple[str, ...]
"""A text, or its steps, none of which is white space alone."""


@dataclass(frozen=True)
class Question:
    """A request and its answers, all of them texts or all of them in steps.

    Attributes:
        group: unit of hold-out and of resampling: a package, a problem, a passage.
        correct: whether each answer is right, in their order.
        kinds: how each answer was made, or by whom; empty if unknown.
        source: the data set that the question is from.
        answer_turns: messages of each answer, in their order: empty for one that is a text of the
            assistant's alone, and with calls of tools or reasoning for others.
        inputs: what the chat template is given beside messages.
        aspect: the criterion that right answers are better by; empty for none of its own.
        language: the programming language that answers are in; empty if unknown.
        pass_rates: share of its tests that each answer passes; empty if unknown.
    """

    id: str
    group: str
    prompt: Request
    answers: tuple[Answer, ...]
    correct: tuple[bool, ...]
    kinds: tuple[str, ...] = ()
    source: str = ""
    answer_turns: tuple[Conversation, ...] = ()
    inputs: TemplateInputs = NO_INPUTS
    aspect: str = ""
    language: str = ""
    pass_rates: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        assert len(self.answers) == len(self.correct)
        assert len(self.kinds) in {0, len(self.answers)}
        assert len(self.answer_turns) in {0, len(self.answers)}
        assert len(self.pass_rates) in {0, len(self.answers)}
        # Scores at the ends of steps are asked for or not, for a whole request.
        assert len({isinstance(answer, tuple) for answer in self.answers}) <= 1

    def kind(self, index: int) -> str:
        """Kind of the answer at `index`; empty if unknown."""
        return self.kinds[index] if self.kinds else ""

    def only(self, kept: Sequence[int]) -> Self:
        """The same request with the answers at these indices alone."""
        return replace(
            self,
            answers=tuple(self.answers[index] for index in kept),
            correct=tuple(self.correct[index] for index in kept),
            kinds=tuple(self.kinds[index] for index in kept) if self.kinds else (),
            answer_turns=tuple(self.answer_turns[index] for index in kept)
            if self.answer_turns
            else (),
            pass_rates=tuple(self.pass_rates[index] for index in kept) if self.pass_rates else (),
        )

    @property
    def stepped(self) -> bool:
        return any(isinstance(answer, tuple) for answer in self.answers)


@dataclass(frozen=True)
class Reading:
    """A scorer's result for one answer.

    Attributes:
        scores: raw scores at the end of each step and then of the whole; empty if there is
            an error.
        error: why there is no score, in the codes of the service's `POST /v1/score`.
    """

    scores: tuple[float, ...] = ()
    error: str = ""


def question_of(row: PreferenceRow) -> Question:
    """A row of pairs as a question: its chosen answer comes first, the only right one."""
    answer_turns = (row.chosen_turns, *(rival.turns for rival in row.rejected))
    return Question(
        id=row.id,
        group=row.group,
        prompt=row.prompt,
        answers=(row.chosen, *(rival.text for rival in row.rejected)),
        correct=(True, *(False for _ in row.rejected)),
        kinds=("chosen", *(rival.kind for rival in row.rejected)),
        source=row.source,
        answer_turns=answer_turns if any(answer_turns) else (),
        inputs=row.inputs,
        aspect=row.aspect,
    )


def conversation_of(question: Question, index: int) -> Conversation:
    """The request with the answer at `index`, as the model reads them."""
    answer_turns = question.answer_turns[index] if question.answer_turns else ()
    return conversation(question.prompt, text_of(question.answers[index]), answer_turns)


def text_of(answer: Answer) -> str:
    """The whole answer as the model reads it."""
    return answer if isinstance(answer, str) else join_steps(answer, STEP)[0]


def step_ends(answer: Answer) -> tuple[int, ...]:
    """Characters up to the end of each step, without the white space at its end.

    The service reads steps by the same function, so both scorers read scores at the same tokens.
    """
    return () if isinstance(answer, str) else join_steps(answer, STEP)[1]


def unaskable(prompt: Request) -> str:
    """The reason why no answer to this request can be scored; empty if it can be asked."""
    # The service would refuse the whole request; so it is never sent, and counted under a reason.
    asked = turns(prompt)
    # The result of a tool may be empty, and a turn may be a call alone.
    if not any(message.content or message.extra for message in asked):
        return "empty request"
    return "request ends on the assistant" if asked[-1].role == "assistant" else ""
