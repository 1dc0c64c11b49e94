"""Math-Shepherd: a solution in steps, and the same with `+` or `-` where each step was judged."""

import re
from dataclasses import dataclass
from typing import ClassVar, Literal

from trainer.pairs.group import group_of
from trainer.preferences.formats.format import RatedAnswer, RatedAnswers
from trainer.tables.record import Record, Unusable, text_of

_FIRST_STEP = re.compile(r"\s*(?=Step 1\b)")


@dataclass(frozen=True)
class MathShepherd:
    """Solutions of one problem are gathered from all rows: each right one over each wrong one.

    Right is a solution whose steps are all right, and wrong is one whose last step is. What
    reaches the right answer past a step that was judged wrong is neither, and counted.

    Attributes:
        step_tag: what stands in `input` where `label` has `+` or `-`; removed from the answers.
    """

    kind: Literal["math_shepherd"] = "math_shepherd"
    input: str = "input"
    label: str = "label"
    step_tag: str = "ки"

    merges: ClassVar[bool] = True

    @property
    def columns(self) -> tuple[str, ...]:
        return self.input, self.label

    def judge(self, record: Record) -> RatedAnswers:
        steps = text_of(record, self.input).split(self.step_tag)
        marks = _marks(steps, text_of(record, self.label))
        problem, *rest = _FIRST_STEP.split("".join(steps), maxsplit=1)
        if not rest or not problem.strip():
            raise Unusable("no problem before a first step")
        answer = RatedAnswer(_tidy(rest[0]), _rating(marks), "wrong solution")
        return RatedAnswers(problem.strip(), (answer,), group_of(problem))


def _marks(steps: list[str], label: str) -> str:
    """The `+` and `-` of a label that is the input but for its tags."""
    marks, position = "", 0
    for step in steps[:-1]:
        position += len(step) + 1
        marks += label[position - 1 : position]
    marked = (step + mark for step, mark in zip(steps, [*marks, ""], strict=False))
    if not marks or not set(marks) <= {"+", "-"} or "".join(marked) != label:
        raise Unusable("the label is not the input with + or - for each step tag")
    return marks


def _rating(marks: str) -> float:
    if "-" in marks and marks[-1] == "+":
        raise Unusable("right at the end, after a step that was judged wrong")
    return float(marks[-1] == "+")


def _tidy(solution: str) -> str:
    """Without the spaces that stood before the tags."""
    return "\n".join(line.rstrip() for line in solution.splitlines()).strip()
