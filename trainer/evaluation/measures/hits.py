"""Hits@K: is a right answer among the K that score highest?"""

from collections.abc import Sequence
from itertools import groupby

from trainer.evaluation.measures.best_of_n import oracle
from trainer.evaluation.measures.estimate import Resampling, share
from trainer.evaluation.measures.pass_at_k import pass_at_k
from trainer.evaluation.measures.scored import CONTENDERS, ScoredQuestion
from trainer.evaluation.measures.table import Row, Table

# K of the table, as far as some question has more answers.
SIZES = (1, 2, 3, 5, 10, 20, 50, 100)


def hits_at_k(scores: Sequence[float], correct: Sequence[float], k: int) -> float:
    """Probability that the `k` best-scored answers hold a right one, ties broken at random.

    Answers above the tie that the k-th place falls into are taken whole. Of the tie, every choice
    of as many as have room is equally likely. All answers are taken where there are no more.
    """
    ranked = sorted(zip(scores, correct, strict=True), reverse=True)
    room = min(k, len(ranked))
    for _, tied in groupby(ranked, key=lambda pair: pair[0]):
        labels = [label for _, label in tied]
        right = sum(map(bool, labels))
        if len(labels) >= room:
            return pass_at_k(len(labels), right, room)
        if right:
            return 1.0
        room -= len(labels)
    raise AssertionError("there are fewer answers than were counted")


def table(scored: list[ScoredQuestion], resampling: Resampling) -> Table:
    """A row for each K; every question counts alike."""
    groups = [item.question.group for item in scored]
    largest = max(len(item.scores) for item in scored)
    found = [oracle(item.question.correct, len(item.scores)) for item in scored]
    rows: dict[str, Row] = {}
    # With all answers taken, no ranking differs from another.
    for k in [size for size in SIZES if size < largest]:
        row = {
            name: share(
                groups,
                [hits_at_k(contender(item), item.question.correct, k) for item in scored],
                resampling,
            )
            for name, contender in CONTENDERS.items()
        }
        rows[str(k)] = row | {"oracle": share(groups, found, resampling)}
    what = (
        "share of questions with a right answer among the K that score highest, ties broken at "
        "random; of K random answers it is pass@K, and oracle has all answers"
    )
    return Table("hits at K", what, rows, plot="curve", axis="K")
