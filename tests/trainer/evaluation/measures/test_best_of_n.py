"""The formula against every draw there is."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.evaluation.measures.best_of_n import best_of, oracle, top

Pool = list[tuple[int, bool]]
pools = st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=1, max_size=8)


def by_hand(pool: Pool, n: int) -> float:
    """Mean over all draws of the share of right ones among the draw's best."""
    won = []
    for drawn in combinations(pool, n):
        best = max(score for score, _ in drawn)
        labels = [correct for score, correct in drawn if score == best]
        won.append(sum(labels) / len(labels))
    return sum(won) / len(won)


@given(pools, st.data())
def test_it_is_the_mean_over_all_draws_with_ties_shared(pool: Pool, data: st.DataObject) -> None:
    n = data.draw(st.integers(1, len(pool)))
    scores, correct = zip(*pool, strict=True)
    assert best_of(scores, correct, n) == pytest.approx(by_hand(pool, n))


@given(pools, st.data())
def test_no_ranking_beats_the_oracle(pool: Pool, data: st.DataObject) -> None:
    n = data.draw(st.integers(1, len(pool)))
    scores, correct = zip(*pool, strict=True)
    assert best_of(scores, correct, n) <= oracle(correct, n) + 1e-12


def test_a_constant_score_is_a_guess_whatever_n_is() -> None:
    correct = (True, False, False, True, False)
    assert [best_of((7.0,) * 5, correct, n) for n in (1, 2, 5)] == pytest.approx([0.4] * 3)


def test_a_pool_of_256_is_exact() -> None:
    """One right candidate in second place: chosen when it is drawn and the first is not."""
    scores = [float(score) for score in range(256)]
    correct = [score == 254 for score in scores]
    expected = 128 / 256 * 128 / 255
    assert best_of(scores, correct, 128) == pytest.approx(expected, rel=1e-12)


def test_the_best_of_all_shares_ties() -> None:
    assert top((1.0, 1.0, 0.0), (True, False, True)) == 0.5
