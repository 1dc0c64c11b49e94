"""GSM8K (Cobbe et al. 2021, arXiv 2110.14168): a question, and a solution that ends in `####`."""

from dataclasses import dataclass
from typing import Literal

from trainer.evaluation.measures.answers import marked
from trainer.feedback.problem import Problem
from trainer.feedback.readers.reader import id_of, optional_text
from trainer.pairs.group import group_of
from trainer.tables.record import Record, Unusable, text_of


@dataclass(frozen=True)
class Gsm8k:
    """Rows with a question and a solution whose last line marks the final answer.

    Attributes:
        id: column of the problem's id; empty if there is none, as in the published files. Then the
            id is made from the text of the question.
    """

    kind: Literal["gsm8k"] = "gsm8k"
    id: str = ""
    statement: str = "question"
    solution: str = "answer"

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.statement, self.solution, *filter(None, [self.id]))

    def read(self, record: Record) -> Problem:
        gold = marked(optional_text(record, self.solution)) or ""
        return math_problem(record, self.id, self.statement, "gsm8k", gold)


def math_problem(record: Record, column: str, statement: str, source: str, gold: str) -> Problem:
    """A problem whose answer is a number or a formula."""
    text = text_of(record, statement).strip()
    if not text:
        raise Unusable(f"{statement} is empty")
    name = id_of(record, column) if column else group_of(text)
    return Problem(f"{source}/{name}", f"{source}/{name}", "math", text, gold=gold)
