"""pass@k is the share of all draws of k samples that hold a passing one."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.evaluation.measures.best_of_n import oracle
from trainer.evaluation.measures.pass_at_k import mean_pass_at_k, pass_at_k


@given(st.lists(st.booleans(), min_size=1, max_size=8), st.data())
def test_it_counts_the_draws_that_hold_a_passing_sample(
    passes: list[bool], data: st.DataObject
) -> None:
    k = data.draw(st.integers(1, len(passes)))
    draws = [any(draw) for draw in combinations(passes, k)]
    assert pass_at_k(len(passes), sum(passes), k) == pytest.approx(sum(draws) / len(draws))


@given(st.integers(1, 200), st.data())
def test_it_equals_the_oracle_of_best_of_n(samples: int, data: st.DataObject) -> None:
    passing = data.draw(st.integers(0, samples))
    k = data.draw(st.integers(1, samples))
    correct = [1.0] * passing + [0.0] * (samples - passing)
    assert pass_at_k(samples, passing, k) == pytest.approx(oracle(correct, k))


def test_a_mean_needs_k_samples_of_every_problem() -> None:
    assert mean_pass_at_k([(2, 1), (4, 0)], 1) == 0.25
    assert mean_pass_at_k([(2, 1), (4, 0)], 3) is None
    assert mean_pass_at_k([], 1) is None
