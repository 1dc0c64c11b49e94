"""Votes against every draw there is."""

from collections import Counter
from itertools import combinations
from math import exp

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.evaluation.measures import votes
from trainer.evaluation.measures.votes import NO_ANSWER, is_exact, majority, weighted

Classes = list[int]
answers = st.lists(st.integers(NO_ANSWER, 3), min_size=1, max_size=8)


def by_hand(classes: Classes, correct: list[bool], weights: list[float], n: int) -> float:
    """Mean over all draws of the share of right ones among the classes with most votes."""
    share = {
        label: _mean([c for o, c in zip(classes, correct, strict=True) if o == label])
        for label in classes
    }
    won = []
    for drawn in combinations(range(len(classes)), n):
        sums: Counter[int] = Counter()
        for index in drawn:
            if classes[index] != NO_ANSWER:
                sums[classes[index]] += weights[index]  # type: ignore[assignment]
        most = max(sums.values(), default=0)
        tied = [label for label, votes in sums.items() if votes >= most * (1 - 1e-9)]
        won.append(_mean([share[label] for label in tied]) if tied else 0.0)
    return _mean(won)


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


@given(answers, st.data())
def test_majority_is_the_mean_over_all_draws(classes: Classes, data: st.DataObject) -> None:
    correct = data.draw(st.lists(st.booleans(), min_size=len(classes), max_size=len(classes)))
    sizes = list(range(1, len(classes) + 1))
    expected = [by_hand(classes, correct, [1.0] * len(classes), n) for n in sizes]
    assert list(majority(classes, correct, sizes).values()) == pytest.approx(expected)


@given(answers, st.data())
def test_weighted_majority_adds_up_what_scores_stand_for(
    classes: Classes, data: st.DataObject
) -> None:
    score = st.sampled_from([-1.0, 0.0, 0.25, 2.0])
    drawn = data.draw(st.tuples(*(st.tuples(st.booleans(), score) for _ in classes)))
    correct, scores = [right for right, _ in drawn], [score for _, score in drawn]
    n = data.draw(st.integers(1, len(classes)))
    expected = by_hand(classes, correct, [exp(score) for score in scores], n)
    assert weighted(classes, scores, correct, n) == pytest.approx(expected)
    shifted = [score + 900.0 for score in scores]
    assert weighted(classes, shifted, correct, n) == pytest.approx(expected)


def test_majority_of_256_candidates_is_exact_enough() -> None:
    """All drawn: the larger class wins for sure; one drawn: as often as it is there."""
    classes = [0] * 130 + [1] * 120 + [NO_ANSWER] * 6
    correct = [label == 0 for label in classes]
    won = majority(classes, correct, [1, 16, 256])
    assert won[1] == pytest.approx(130 / 256)
    assert won[256] == pytest.approx(1.0)
    assert 130 / 256 < won[16] < 1


def test_too_many_draws_are_sampled_always_alike() -> None:
    classes = [index % 3 for index in range(64)]
    correct = [label == 0 for label in classes]
    assert not is_exact(64, 32)
    first = weighted(classes, [0.0] * 64, correct, 32)
    votes.draws_of.cache_clear()
    assert weighted(classes, [0.0] * 64, correct, 32) == first
    assert first == pytest.approx(majority(classes, correct, [32])[32], abs=0.05)


def test_nobody_votes_and_nobody_wins() -> None:
    assert majority([NO_ANSWER] * 3, [True] * 3, [2]) == {2: 0.0}
    assert weighted([NO_ANSWER] * 3, [1.0] * 3, [True] * 3, 2) == 0.0
