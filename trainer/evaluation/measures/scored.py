"""Questions with their scores, and the baselines that rank the same answers without a model."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from trainer.evaluation.question import Question, text_of
from trainer.evaluation.scorers.scorer import QuestionScorer
from trainer.pipeline.progress import ProgressBar

Need = Literal["all", "both", "one"]
"""Which answers must have scores for a question to count: all of them, a right and a wrong one, or
any one."""


@dataclass(frozen=True)
class ScoredQuestion:
    """A question whose answers all have raw scores.

    Attributes:
        steps: for each answer in steps, the scores at the ends of its steps.
    """

    question: Question
    scores: tuple[float, ...]
    steps: tuple[tuple[float, ...], ...] = ()

    @property
    def lengths(self) -> tuple[float, ...]:
        """Characters of each answer."""
        return tuple(float(len(text_of(answer))) for answer in self.question.answers)


Contender = Callable[[ScoredQuestion], tuple[float, ...]]
"""Ranks the answers of a question by the scores it gives them."""

# Every figure stands beside those of taking the longest answer and of guessing.
CONTENDERS: dict[str, Contender] = {
    "model": lambda scored: scored.scores,
    "length_only": lambda scored: scored.lengths,
    # All answers get one score: every measure shares ties, so this is guessing's expectation.
    "random": lambda scored: (0.0,) * len(scored.scores),
}


def split_by_source(scored: Iterable[ScoredQuestion]) -> dict[str, list[ScoredQuestion]]:
    """The questions of each data set, in the order of the data sets' names."""
    parts: dict[str, list[ScoredQuestion]] = {}
    for item in sorted(scored, key=lambda item: item.question.source):
        parts.setdefault(item.question.source, []).append(item)
    return parts


def score_questions(
    questions: Sequence[Question],
    scorer: QuestionScorer,
    need: Need,
    counts: Counter[str],
    desc: str = "scoring",
) -> list[ScoredQuestion]:
    """Score every answer; `counts` gets the number of answers and questions left out, by reason."""
    found: list[ScoredQuestion] = []
    progress = ProgressBar(
        zip(questions, scorer.score(questions), strict=True), total=len(questions), desc=desc
    )
    for question, readings in progress:
        kept = [index for index, reading in enumerate(readings) if not reading.error]
        for index, reading in enumerate(readings):
            if reading.error:
                reason = reading.error.replace("_", " ")
                kind = question.kind(index)
                counts[f"{kind}: {reason}" if kind else reason] += 1
        correct = [question.correct[index] for index in kept]
        enough = {
            "all": len(correct) == len(readings) > 0,
            "both": any(correct) and not all(correct),
            "one": bool(correct),
        }
        if not enough[need]:
            counts["question left with too few answers"] += 1
            continue
        # A reading ends with the score of the whole answer, after those of its steps.
        read = [readings[index].scores for index in kept]
        found.append(
            ScoredQuestion(
                question.only(kept),
                scores=tuple(scores[-1] for scores in read),
                steps=tuple(scores[:-1] for scores in read) if question.stepped else (),
            )
        )
    return found
