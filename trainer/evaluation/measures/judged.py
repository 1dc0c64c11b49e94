"""Questions with scores, and the same questions as those without a model would score them."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from tqdm import tqdm

from trainer.evaluation.question import Question, Reading, text_of
from trainer.evaluation.scorers.scorer import QuestionScorer

Need = Literal["all", "both", "one"]
"""What a question must keep to be counted: a score for every answer, for a right and a wrong one,
or for any."""


@dataclass(frozen=True)
class ScoredQuestion:
    """A question whose answers all have raw scores.

    Attributes:
        steps: of each answer in steps, the scores at their ends.
    """

    question: Question
    scores: tuple[float, ...]
    steps: tuple[tuple[float, ...], ...] = ()

    @property
    def lengths(self) -> tuple[float, ...]:
        """Characters of each answer."""
        return tuple(float(len(text_of(answer))) for answer in self.question.answers)


Contender = Callable[[ScoredQuestion], tuple[float, ...]]

CONTENDERS: dict[str, Contender] = {
    "model": lambda judged: judged.scores,
    "length_only": lambda judged: judged.lengths,
    # All alike: every measure shares ties, which is what guessing comes to on average.
    "random": lambda judged: (0.0,) * len(judged.scores),
}
"""Who ranks the answers. A figure stands beside what the longest answer and a guess would get."""


def sources(judged: Iterable[ScoredQuestion]) -> dict[str, list[ScoredQuestion]]:
    """The questions of each data set, by its name, in the order of the names."""
    parts: dict[str, list[ScoredQuestion]] = {}
    for item in sorted(judged, key=lambda item: item.question.source):
        parts.setdefault(item.question.source, []).append(item)
    return parts


def judge(
    questions: Sequence[Question],
    scorer: QuestionScorer,
    need: Need,
    counts: Counter[str],
    desc: str = "scoring",
) -> list[ScoredQuestion]:
    """Score every answer; `counts` says what was left out, and why."""
    progress = tqdm(
        zip(questions, scorer.score(questions), strict=True), total=len(questions), desc=desc
    )
    found = [_judged(question, readings, need, counts) for question, readings in progress]
    return [judged for judged in found if judged]


def _judged(
    question: Question, readings: list[Reading], need: Need, counts: Counter[str]
) -> ScoredQuestion | None:
    kept = [index for index, reading in enumerate(readings) if not reading.error]
    for index, reading in enumerate(readings):
        if reading.error:
            counts[_left_out(question.kind(index), reading)] += 1
    if not _is_enough([question.correct[index] for index in kept], len(readings), need):
        counts["question left with too few answers"] += 1
        return None
    read = [readings[index].scores for index in kept]
    steps = tuple(scores[:-1] for scores in read) if question.stepped else ()
    return ScoredQuestion(question.only(kept), tuple(scores[-1] for scores in read), steps)


def _left_out(kind: str, reading: Reading) -> str:
    """The reason under which an answer without a score is counted."""
    reason = reading.error.replace("_", " ")
    return f"{kind}: {reason}" if kind else reason


def _is_enough(correct: list[bool], answers: int, need: Need) -> bool:
    match need:
        case "all":
            return len(correct) == answers > 0
        case "both":
            return any(correct) and not all(correct)
        case "one":
            return bool(correct)
