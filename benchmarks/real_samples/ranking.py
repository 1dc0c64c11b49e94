"""How well releases and rules rank the answers of a set. Pure, but for the scoring itself."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness.ranking import Credit, Estimate, difference, estimate
from benchmarks.inputs.labelled import is_mixed
from benchmarks.real_samples.sets import SampleSet
from reward_model.release.lora import open_checkpoint
from trainer.evaluation.measures.best_of_n import best_of
from trainer.evaluation.measures.candidates import curve_sizes
from trainer.evaluation.measures.pairwise import outcomes
from trainer.evaluation.measures.scored import CONTENDERS, ScoredQuestion
from trainer.evaluation.question import Question
from trainer.evaluation.scorers.network import NetworkScorer

RULES = ("longest", "shortest", "random pick", "oracle")
"""The oracle knows what is right: no ranking exceeds it."""

MAX_N = 16

Scores = list[tuple[float, ...]]
"""For each question, of each of its answers."""


@dataclass(frozen=True)
class Ranked:
    """One way of ranking a set.

    Attributes:
        firsts: of each question, the probability that the best of N is right.
        curve: the same over all questions, by N; the largest N is that of `firsts`.
        pairs: pairwise accuracy over questions with right and wrong answers.
    """

    firsts: list[Credit]
    curve: dict[int, Estimate]
    pairs: Estimate

    @property
    def first(self) -> Estimate:
        return self.curve[max(self.curve)]

    def above(self, other: "Ranked") -> Estimate:
        """How much more often the best of N is right, question by question."""
        return difference(self.firsts, other.firsts)


def comparable(sample_set: SampleSet) -> list[Question]:
    """The problems of a set that have as many answers as nearly all have."""
    questions = sample_set.questions
    least = max(curve_sizes([len(each.answers) for each in questions], MAX_N))
    return [each for each in questions if len(each.answers) >= least]


def score_release(release: Path, questions: Sequence[Question]) -> tuple[Scores, int]:
    """Raw scores by the release's own network and encoder, in the dtype in which it is served.

    Returns:
        The scores, and how many answers have none, which rank last. Questions whose answers are all
        right or all wrong are not scored: any ranking is as good.
    """
    scorer = NetworkScorer(release, dtype=open_checkpoint(release).dtype)
    mixed = [question for question in questions if is_mixed(question)]
    readings = iter(scorer.score(mixed))
    scores: Scores = []
    unscored = 0
    for question in questions:
        if not is_mixed(question):
            scores.append((0.0,) * len(question.answers))
            continue
        row = next(readings)
        unscored += sum(bool(reading.error) for reading in row)
        scores.append(tuple(-math.inf if each.error else each.scores[-1] for each in row))
    return scores, unscored


def by_rule(rule: str, questions: Sequence[Question]) -> Scores:
    """Scores by a rule that needs no model."""
    blank = [ScoredQuestion(each, (0.0,) * len(each.answers)) for each in questions]
    if rule == "random pick":
        return [each.scores for each in blank]
    if rule == "oracle":
        return [tuple(map(float, each.correct)) for each in questions]
    sign = 1 if rule == "longest" else -1
    return [tuple(sign * length for length in CONTENDERS["length_only"](each)) for each in blank]


def rank(questions: Sequence[Question], scores: Scores) -> Ranked:
    """All figures of one way of ranking.

    Raises:
        ValueError: there is next to nothing to rank.
    """
    sizes = curve_sizes([len(question.answers) for question in questions], MAX_N)
    both = list(zip(questions, scores, strict=True))
    best = {n: [Credit(best_of(row, question.correct, n)) for question, row in both] for n in sizes}
    mixed = (ScoredQuestion(question, row) for question, row in both if is_mixed(question))
    compared = [outcomes([each], CONTENDERS["model"]) for each in mixed]
    # The wrong answers of a question may be of several kinds, which are compared apart.
    pairs = [
        Credit(sum(kind.credit for kind in kinds), sum(kind.pairs for kind in kinds))
        for kinds in compared
    ]
    if len(pairs) < 2:
        raise ValueError("fewer than two problems have right and wrong answers")
    return Ranked(
        firsts=best[max(sizes)],
        curve={n: estimate(earned) for n, earned in best.items()},
        pairs=estimate(pairs),
    )
