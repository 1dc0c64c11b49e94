"""Spearman's correlation against scipy's, and where it is not defined."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from tests.trainer.evaluation.made import RESAMPLING, judged, question
from trainer.evaluation.measures.rank_correlation import pooled, spearman_of, table
from trainer.evaluation.measures.scored import CONTENDERS, ScoredQuestion


def rated(scores: list[float], rates: list[float], group: str = "a") -> ScoredQuestion:
    of = replace(question([rate == 1 for rate in rates], group=group), pass_rates=tuple(rates))
    return judged(scores, of)


answers = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=2, max_size=15)


@given(answers)
def test_the_pool_has_scipys_correlation(pool: list[tuple[int, int]]) -> None:
    scores, rates = ([value / 4 for value in column] for column in zip(*pool, strict=True))
    assume(len(set(scores)) > 1 and len(set(rates)) > 1)
    found = pooled([rated(scores, rates)], CONTENDERS["model"], RESAMPLING)
    assert found.value == pytest.approx(spearmanr(scores, rates).statistic)
    assert (found.low, found.high) == (-1.0, 1.0)
    squashed = rated(np.tanh(scores).tolist(), rates)
    assert pooled([squashed], CONTENDERS["model"], RESAMPLING).value == found.value


def test_a_constant_score_ranks_nothing() -> None:
    assert spearman_of([1.0, 1.0], [0.0, 1.0]) == 0.0
    rows = [rated([n, n + 1.0], [0.0, 1.0], group=f"{n}") for n in range(5)]
    found = table(rows, RESAMPLING, Counter())
    assert found
    for row in found.rows.values():
        assert row["random"].value == 0.0
    assert found.rows["per prompt"]["model"].value == pytest.approx(1.0)
    assert 0 < found.rows["pooled answers"]["model"].value < 1


def test_only_questions_with_rates_that_differ_have_one_of_their_own() -> None:
    same = rated([1.0, 2.0], [0.5, 0.5], group="same")
    better = rated([1.0, 2.0], [0.0, 0.5], group="better")
    unknown = judged((1.0, 0.0), question((True, False), group="unknown"))
    counts: Counter[str] = Counter()
    found = table([same, better, unknown], RESAMPLING, counts)
    assert found
    assert found.rows["per prompt"]["model"].n == 1
    assert found.rows["pooled answers"]["model"].n == 4
    assert counts == {"no pass rates: not in the rank correlation": 1}


def test_without_pass_rates_there_is_no_table() -> None:
    counts: Counter[str] = Counter()
    assert table([judged((1.0, 0.0), question((True, False)))], RESAMPLING, counts) is None
    assert not counts
