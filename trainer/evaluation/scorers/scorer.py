"""The seam between what is evaluated and what scores: questions in, raw scores out.

A scorer is a network in this process or a service behind HTTP. Both give the same numbers, so no
measure knows which one it was.
"""

from collections.abc import Iterator, Sequence
from typing import Protocol

from trainer.evaluation.question import Question, Reading


class QuestionScorer(Protocol):
    """Attributes:
    name: what scores, for the report.
    """

    name: str

    def score(self, questions: Sequence[Question]) -> Iterator[list[Reading]]:
        """One list for each question, in order, with a reading for each of its answers."""
