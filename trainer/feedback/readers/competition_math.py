r"""MATH (Hendrycks et al. 2021, arXiv 2103.03874): a problem, and a solution with a `\boxed{}`."""

from dataclasses import dataclass
from typing import Literal

from trainer.evaluation.measures.answers import marked
from trainer.feedback.problem import Problem
from trainer.feedback.readers.gsm8k import math_problem
from trainer.feedback.readers.reader import optional_text
from trainer.tables.record import Record


@dataclass(frozen=True)
class CompetitionMath:
    """Rows with a problem and its solution.

    Attributes:
        id: column of the problem's id; empty if there is none. Then the id is made from the text of
            the problem.
        answer: column of the final answer, as MATH-500 has it; where a row has none, it is the
            content of the solution's last box.
    """

    kind: Literal["math"] = "math"
    id: str = ""
    statement: str = "problem"
    solution: str = "solution"
    answer: str = "answer"

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.statement, *filter(None, [self.id]))

    def read(self, record: Record) -> Problem:
        gold = optional_text(record, self.answer).strip()
        gold = gold or marked(optional_text(record, self.solution)) or ""
        return math_problem(record, self.id, self.statement, "math", gold)
