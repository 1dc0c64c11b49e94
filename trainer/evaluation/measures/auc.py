"""AUC: does a right answer score above a wrong one, also above one to another request?

Pairwise accuracy compares the answers to one request. A trainer that uses scores as rewards, or a
threshold that accepts answers, also needs scores of different requests to be comparable.
"""

import numpy as np

from trainer.evaluation.measures.estimate import (
    Estimate,
    Resampling,
    Sums,
    Weights,
    estimate_weighted,
    ratio,
    share,
)
from trainer.evaluation.measures.ranks import Ranking
from trainer.evaluation.measures.scored import CONTENDERS, Contender, ScoredQuestion
from trainer.evaluation.measures.table import Table


def table(scored: list[ScoredQuestion], resampling: Resampling) -> Table:
    """AUC over the pooled answers of all questions, and the mean over questions of their own."""
    return Table(
        "AUC",
        "probability that a right answer scores above a wrong one, ties half: of all answers in "
        "one pool, whatever they answer, and within a prompt (the mean over the prompts that have "
        "both)",
        {
            "pooled answers": {
                name: pooled(scored, contender, resampling)
                for name, contender in CONTENDERS.items()
            },
            "per prompt": {
                name: per_prompt(scored, contender, resampling)
                for name, contender in CONTENDERS.items()
            },
        },
        plot="bars",
    )


def ordered_pairs(ranking: Ranking, correct: Sums, weights: Weights) -> tuple[Sums, Sums]:
    """Mann-Whitney's U and the number of pairs that it counts, of weighted answers.

    Args:
        correct: [answers], 1 for right ones.
        weights: [..., answers].
    """
    right = (weights * correct).sum(axis=-1)
    wrong = weights.sum(axis=-1) - right
    rank_sum = (ranking.ranks(weights) * weights * correct).sum(axis=-1)
    # Less the ranks among the right answers alone, which would be there without any wrong one.
    return rank_sum - right * (right + 1) / 2, right * wrong


def pooled(scored: list[ScoredQuestion], contender: Contender, resampling: Resampling) -> Estimate:
    """AUC over the answers of all questions."""
    groups = [item.question.group for item in scored for _ in item.scores]
    correct = np.array([float(label) for item in scored for label in item.question.correct])
    scores = np.array([value for item in scored for value in contender(item)])
    ranking = Ranking(scores)
    # U and pairs within each group, at the group's first answer.
    own = np.zeros((2, len(groups)))
    _, first, index = np.unique(np.asarray(groups), return_index=True, return_inverse=True)
    for group, start in enumerate(first):
        members = index == group
        once = np.ones(members.sum(), dtype=np.int64)
        own[:, start] = ordered_pairs(Ranking(scores[members]), correct[members], once)

    def area(weights: Weights) -> Sums:
        # Copies of a group that a resample draws several times are not compared with each other:
        # that would count pairs within groups more often than there are any.
        again = weights * (weights - 1)
        above, pairs = ordered_pairs(ranking, correct, weights)
        return ratio(above - again @ own[0], pairs - again @ own[1])

    return estimate_weighted(groups, area, resampling)


def per_prompt(
    scored: list[ScoredQuestion], contender: Contender, resampling: Resampling
) -> Estimate:
    """Mean AUC of the questions that have a right and a wrong answer; each counts alike."""
    mixed = [item for item in scored if len(set(item.question.correct)) > 1]
    values = []
    for item in mixed:
        once = np.ones(len(item.scores), dtype=np.int64)
        correct = np.array(item.question.correct, dtype=float)
        above, pairs = ordered_pairs(Ranking(np.array(contender(item))), correct, once)
        values.append(float(above / pairs))
    return share([item.question.group for item in mixed], values, resampling)
