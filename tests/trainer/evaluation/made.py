"""Questions with known scores, and a scorer that takes them from a function of the text."""

from collections.abc import Callable, Iterator, Sequence

from trainer.evaluation.measures.estimate import Resampling
from trainer.evaluation.measures.scored import ScoredQuestion
from trainer.evaluation.question import Question, Reading, text_of, unaskable
from trainer.pairs.criteria import Criteria

RESAMPLING = Resampling(resamples=200)


class FakeScorer:
    """Scores by the text alone; a step by the text up to its end."""

    name = "fake 1"

    def __init__(self, score: Callable[[str], float | None]) -> None:
        self._score = score
        self.criteria: Criteria = {}

    def score(self, questions: Sequence[Question]) -> Iterator[list[Reading]]:
        for question in questions:
            yield [self._read(question, index) for index in range(len(question.answers))]

    def _read(self, question: Question, index: int) -> Reading:
        answer = question.answers[index]
        parts = [] if isinstance(answer, str) else list(answer)
        scores = [self._score(text) for text in (*parts, text_of(answer))]
        known = [score for score in scores if score is not None]
        if unaskable(question.prompt) or len(known) < len(scores):
            return Reading(error="too_long")
        return Reading(tuple(known))


def question(
    correct: Sequence[bool],
    *,
    group: str = "a",
    texts: Sequence[str] = (),
    kinds: Sequence[str] = (),
    source: str = "",
) -> Question:
    answers = tuple(texts) or tuple("x" for _ in correct)
    return Question("1", group, "p", answers, tuple(correct), tuple(kinds), source)


def judged(scores: Sequence[float], of: Question) -> ScoredQuestion:
    return ScoredQuestion(of, tuple(scores))


def pair(better: float, worse: float, *, group: str = "a", kind: str = "mutant") -> ScoredQuestion:
    """One pair whose right answer is as long as its wrong one."""
    return judged((better, worse), question((True, False), group=group, kinds=("chosen", kind)))
