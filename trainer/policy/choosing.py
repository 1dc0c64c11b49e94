"""One of N samples is chosen: by a reward model, by the majority, by length; or by an oracle."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from trainer.evaluation.measures import length_bias, pairwise, votes
from trainer.evaluation.measures.best_of_n import best_of, oracle
from trainer.evaluation.measures.estimate import Resampling
from trainer.evaluation.measures.scored import ScoredQuestion
from trainer.evaluation.measures.table import Table
from trainer.evaluation.question import Question
from trainer.evaluation.scorers.scorer import QuestionScorer
from trainer.pipeline.progress import ProgressBar
from trainer.policy.comparison import ArmComparison, compare

Classes = tuple[int, ...]
"""For each sample its class of equal answers, or `NO_ANSWER`."""


@dataclass(frozen=True)
class Candidates:
    """A problem's samples of one policy, as they are chosen among.

    Attributes:
        scores: of the reward model; empty without one.
        classes: of equal answers; None where no vote can be held.
    """

    question: Question
    scores: tuple[float, ...] = ()
    classes: Classes | None = None

    @property
    def lengths(self) -> tuple[float, ...]:
        """Characters of each sample."""
        return tuple(float(len(answer)) for answer in self.question.answers)


@dataclass(frozen=True)
class Chooser:
    """A way to choose one of N.

    Attributes:
        chance: the probability that the chosen one of `n` drawn candidates is right.
    """

    title: str
    what: str
    chance: Callable[[Candidates, int], float]


REWARD_MODEL = Chooser(
    "reward model, best of N",
    "pass@1 of the sample that the reward model scores highest among N",
    lambda each, n: best_of(each.scores, each.question.correct, n),
)
MAJORITY = Chooser(
    "majority of N",
    "pass@1 of the answer that most of N samples agree on; without the reward model",
    lambda each, n: votes.majority(each.classes or (), each.question.correct, [n])[n],
)
LONGEST = Chooser(
    "longest of N",
    "pass@1 of the longest of N samples, which a reward model must beat",
    lambda each, n: best_of(each.lengths, each.question.correct, n),
)
ORACLE = Chooser(
    "oracle of N",
    "probability that N samples hold a right one, which no choice exceeds",
    lambda each, n: oracle(each.question.correct, n),
)


def with_scores(
    candidates: Sequence[Candidates], scorer: QuestionScorer, counts: Counter[str], desc: str
) -> list[Candidates]:
    """Score every sample.

    A sample that cannot be scored is never chosen while another one can be, and stays among those
    that are drawn: leaving it out would raise pass@1 without any choice. `counts` gets the reasons.
    """
    scored = []
    asked = [each.question for each in candidates]
    readings = ProgressBar(
        zip(candidates, scorer.score(asked), strict=True), total=len(asked), desc=desc
    )
    for each, found in readings:
        for reading in found:
            if reading.error:
                counts[f"not scored: {reading.error.replace('_', ' ')}"] += 1
        scores = tuple(-math.inf if one.error else one.scores[-1] for one in found)
        scored.append(Candidates(each.question, scores, each.classes))
    return scored


def comparisons(
    arms: Mapping[str, Sequence[Candidates]], sizes: Sequence[int], resampling: Resampling
) -> list[ArmComparison]:
    """A comparison for each chooser that all policies allow: exact expectations over all draws.

    Args:
        arms: for each policy its candidates of the same problems in the same order, start first.
        sizes: the values of N.
    """
    every = [each for candidates in arms.values() for each in candidates]
    choosers = [REWARD_MODEL] * all(each.scores for each in every)
    choosers += [MAJORITY] * all(each.classes is not None for each in every)
    choosers += [LONGEST, ORACLE]
    groups = [each.question.group for each in next(iter(arms.values()))]
    made = []
    for chooser in choosers:
        rows = {}
        for n in sizes:
            values = {
                name: [chooser.chance(each, n) for each in candidates]
                for name, candidates in arms.items()
            }
            rows[str(n)] = compare(groups, values, resampling)
        made.append(ArmComparison(chooser.title, chooser.what, rows))
    return made


def ranking(arms: Mapping[str, Sequence[Candidates]], resampling: Resampling) -> list[Table]:
    """How well the reward model tells right samples from wrong ones, beside their length.

    Pairwise accuracy on each policy's samples, and on all of them by which one is longer; empty
    without a reward model, or if no problem has both right and wrong samples.
    """
    scored = [
        ScoredQuestion(replace(each.question, source=name), each.scores)
        for name, candidates in arms.items()
        for each in candidates
        if each.scores and len(set(each.question.correct)) == 2
    ]
    if not scored:
        return []
    accuracy = replace(
        pairwise.by_source(scored, resampling),
        title="pairwise accuracy of the reward model",
        what="share of pairs of a right and a wrong sample of a problem whose right one scores "
        "higher, on each policy's samples; ties count half",
    )
    by_length = length_bias.accuracy_table(scored, resampling)
    return [accuracy, *([by_length] if by_length.rows else [])]
