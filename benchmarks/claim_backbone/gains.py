"""Figures over seeds and problems, with intervals that cover the choice of both. Pure."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks.claim_backbone.exercises import Exercise
from benchmarks.claim_backbone.finetuned import Finetuned
from benchmarks.harness.ranking import Estimate
from trainer.evaluation.measures.best_of_n import best_of
from trainer.evaluation.measures.pairwise import outcomes
from trainer.evaluation.measures.scored import CONTENDERS, ScoredQuestion
from trainer.evaluation.question import Question

_RESAMPLES = 4000
Floats = NDArray[np.float64]

Measure = Callable[[ScoredQuestion], tuple[float, float]]
"""What a question's scores earn, of what is possible."""


def pairwise(scored: ScoredQuestion) -> tuple[float, float]:
    """Pairs that are ranked right, ties half."""
    found = outcomes([scored], CONTENDERS["model"])
    return sum(each.credit for each in found), sum(each.pairs for each in found)


def best_of_n(n: int) -> Measure:
    """The probability that the best of `n` candidates is right; 0 of 0 where there are fewer."""

    def measure(scored: ScoredQuestion) -> tuple[float, float]:
        if len(scored.scores) < n:
            return 0.0, 0.0
        return best_of(scored.scores, scored.question.correct, n), 1.0

    return measure


def first(scored: ScoredQuestion) -> tuple[float, float]:
    """The probability that the best of all candidates is right."""
    return best_of(scored.scores, scored.question.correct, len(scored.scores)), 1.0


def earned(
    questions: Sequence[Question], runs: Sequence[Sequence[Sequence[float]]], measure: Measure
) -> tuple[Floats, Floats]:
    """Credit of each run on each problem, [runs, problems], and the most possible, [problems].

    Args:
        runs: for each run, for each question, the scores of its candidates.
    """
    groups = sorted({question.group for question in questions})
    place = {group: number for number, group in enumerate(groups)}
    got, most = np.zeros((len(runs), len(groups))), np.zeros(len(groups))
    for number, scores in enumerate(runs):
        for question, row in zip(questions, scores, strict=True):
            credit, possible = measure(ScoredQuestion(question, tuple(row)))
            got[number, place[question.group]] += credit
            # Every run is of the same questions.
            most[place[question.group]] += possible if number == 0 else 0.0
    return got, most


def over_seeds_and_problems(got: Floats, most: Floats) -> Estimate:
    """The share that is earned; both seeds and problems are drawn again with replacement.

    With one run, as of a rule without a seed, problems alone are.
    """
    seeds, problems = got.shape
    generator = np.random.default_rng(1)
    of_seeds = generator.multinomial(seeds, np.full(seeds, 1 / seeds), _RESAMPLES)
    of_problems = generator.multinomial(problems, np.full(problems, 1 / problems), _RESAMPLES)
    above = np.einsum("rs,sp,rp->r", of_seeds, got, of_problems) / seeds
    below = of_problems @ most
    low, high = np.quantile(above[below > 0] / below[below > 0], [0.025, 0.975])
    return Estimate(float(got.mean(0).sum() / most.sum()), float(low), float(high))


def scores_by_seed(
    runs: Sequence[Finetuned], task: str, arm: str, pairs: int
) -> dict[int, list[list[float]]]:
    """The scores of each run of these, by its seed."""
    return {r.seed: r.scores for r in runs if (r.task, r.arm, r.pairs) == (task, arm, pairs)}


def figure(
    exercise: Exercise, runs: Sequence[Finetuned], arm: str, pairs: int, measure: Measure
) -> Estimate | None:
    """A figure of one arm; None without a run."""
    found = scores_by_seed(runs, exercise.name, arm, pairs)
    if not found:
        return None
    return over_seeds_and_problems(*earned(exercise.test, list(found.values()), measure))


def gain(
    exercise: Exercise,
    runs: Sequence[Finetuned],
    arms: tuple[str, str],
    pairs: int,
    measure: Measure,
) -> Estimate | None:
    """How much more the first arm earns than the second: same pairs, seeds and problems."""
    ours, theirs = (scores_by_seed(runs, exercise.name, arm, pairs) for arm in arms)
    both = sorted(ours.keys() & theirs.keys())
    if not both:
        return None
    got, most = earned(exercise.test, [ours[seed] for seed in both], measure)
    other, _ = earned(exercise.test, [theirs[seed] for seed in both], measure)
    return over_seeds_and_problems(got - other, most)


def rule(exercise: Exercise, contender: str, measure: Measure) -> Estimate:
    """A figure of a rule that needs no model: `length_only` or `random`."""
    scores = [
        CONTENDERS[contender](ScoredQuestion(q, (0.0,) * len(q.answers))) for q in exercise.test
    ]
    return over_seeds_and_problems(*earned(exercise.test, [scores], measure))
