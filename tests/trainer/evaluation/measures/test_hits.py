"""Hits@K against every order of ties there is."""

from itertools import pairwise, permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.trainer.evaluation.made import RESAMPLING, judged, question
from trainer.evaluation.measures.best_of_n import top
from trainer.evaluation.measures.hits import hits_at_k, table
from trainer.evaluation.measures.pass_at_k import pass_at_k

Pool = list[tuple[int, bool]]
pools = st.lists(st.tuples(st.integers(0, 2), st.booleans()), min_size=1, max_size=6)


@given(pools, st.integers(1, 7))
def test_it_is_the_mean_over_all_orders_of_ties(pool: Pool, k: int) -> None:
    scores, correct = zip(*pool, strict=True)
    hits = []
    for order in permutations(pool):
        # Sorting is stable, so each permutation orders ties in its own way.
        best = sorted(order, key=lambda pair: -pair[0])[:k]
        hits.append(any(label for _, label in best))
    assert hits_at_k(scores, correct, k) == pytest.approx(sum(hits) / len(hits))


@given(pools)
def test_more_room_never_loses_a_hit_and_one_place_is_the_best_of_all(pool: Pool) -> None:
    scores, correct = zip(*pool, strict=True)
    found = [hits_at_k(scores, correct, k) for k in range(1, len(pool) + 2)]
    assert all(less <= more + 1e-12 for less, more in pairwise(found))
    assert found[0] == pytest.approx(top(scores, correct))
    assert found[-1] == float(any(correct))


@given(st.lists(st.booleans(), min_size=1, max_size=20), st.data())
def test_guessing_is_pass_at_k(correct: list[bool], data: st.DataObject) -> None:
    k = data.draw(st.integers(1, len(correct)))
    constant = [7.0] * len(correct)
    expected = pass_at_k(len(correct), sum(correct), k)
    assert hits_at_k(constant, correct, k) == pytest.approx(expected)


def test_rows_go_as_far_as_a_ranking_has_a_choice() -> None:
    scored = [
        judged([float(n) for n in range(6)], question([n == 1 for n in range(6)], group=group))
        for group in ("a", "b")
    ]
    scored.append(judged((1.0, 0.0), question((False, False), group="c")))
    found = table(scored, RESAMPLING)
    assert list(found.rows) == ["1", "2", "3", "5"]
    assert [row["model"].value for row in found.rows.values()] == pytest.approx([0, 0, 0, 2 / 3])
    assert found.rows["3"]["random"].value == pytest.approx(2 / 3 * 0.5)
    oracles = [row["oracle"].value for row in found.rows.values()]
    assert oracles == pytest.approx([2 / 3] * 4)
