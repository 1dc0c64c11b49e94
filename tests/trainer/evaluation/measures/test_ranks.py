"""Weighted ranks are those of the items written out as often as they count."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata

from trainer.evaluation.measures.ranks import Ranking


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3)), min_size=1, max_size=12))
def test_an_item_has_the_mean_rank_of_its_copies(items: list[tuple[int, int]]) -> None:
    values, weights = (np.array(column) for column in zip(*items, strict=True))
    copies = rankdata(np.repeat(values, weights))
    found = Ranking(values.astype(float)).ranks(weights)
    assert np.repeat(found, weights).tolist() == copies.tolist()


def test_resamples_are_ranked_each_for_itself() -> None:
    weights = np.array([[1, 1, 1], [2, 0, 1]])
    found = Ranking(np.array([5.0, 1.0, 5.0])).ranks(weights)
    assert found[0] == pytest.approx([2.5, 1.0, 2.5])
    assert found[1, [0, 2]] == pytest.approx([2.0, 2.0])
