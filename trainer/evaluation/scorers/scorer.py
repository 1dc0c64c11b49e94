"""The seam between an evaluation and its scorer: questions in, raw scores out.

A scorer is a network in this process or a service behind HTTP. Both give the same numbers, so no
measure knows which one it was.
"""

from collections.abc import Iterator, Sequence
from typing import Protocol

from trainer.evaluation.question import Question, Reading
from trainer.pairs.criteria import Criteria


class QuestionScorer(Protocol):
    """Scores the answers of questions.

    Attributes:
        name: the scorer's name in the report.
        criteria: those by which it scores questions that name one as their aspect.
    """

    name: str
    criteria: Criteria

    def score(self, questions: Sequence[Question]) -> Iterator[list[Reading]]:
        """Yield a list for each question, in order, with a reading for each of its answers."""
