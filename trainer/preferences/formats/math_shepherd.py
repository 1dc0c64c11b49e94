"""Math-Shepherd: a solution in steps, and the same text with `+` or `-` after each step."""

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

    A solution is right if all its steps are, and wrong if its last step is. One that reaches the
    right answer after a wrong step is neither; it is left out and counted.

    Attributes:
        step_tag: marks the end of a step in `input`, where `label` has `+` or `-`. It is removed
            from the answers.
    """

    kind: Literal["math_shepherd"] = "math_shepherd"
    input: str = "input"
    label: str = "label"
    step_tag: str = "ки"

    merges: ClassVar[bool] = True

    @property
    def columns(self) -> tuple[str, ...]:
        return self.input, self.label

    def rate(self, record: Record) -> RatedAnswers:
        steps = text_of(record, self.input).split(self.step_tag)
        label = text_of(record, self.label)
        # The label is the input with a mark of one character in the place of each step tag.
        marks, position = "", 0
        for step in steps[:-1]:
            position += len(step) + 1
            marks += label[position - 1 : position]
        marked = (step + mark for step, mark in zip(steps, [*marks, ""], strict=False))
        if not marks or not set(marks) <= {"+", "-"} or "".join(marked) != label:
            raise Unusable("the label is not the input with + or - for each step tag")
        if "-" in marks and marks[-1] == "+":
            raise Unusable("right at the end, after a step that was judged wrong")
        problem, *rest = _FIRST_STEP.split("".join(steps), maxsplit=1)
        if not rest or not problem.strip():
            raise Unusable("no problem before a first step")
        # Removing the tags leaves the spaces that stood before them.
        solution = "\n".join(line.rstrip() for line in rest[0].splitlines()).strip()
        answer = RatedAnswer(solution, float(marks[-1] == "+"), "wrong solution")
        return RatedAnswers(problem.strip(), (answer,), group_of(problem))
