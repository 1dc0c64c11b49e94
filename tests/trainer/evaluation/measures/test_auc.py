"""The areas against counts over all pairs, and what must not change them."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu

from tests.trainer.evaluation.made import RESAMPLING, judged, question
from trainer.evaluation.measures.auc import ordered_pairs, table
from trainer.evaluation.measures.ranks import Ranking
from trainer.evaluation.measures.scored import ScoredQuestion

Pool = list[tuple[int, bool]]
pools = st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=2, max_size=12)


def auc(scores: np.ndarray, correct: np.ndarray) -> float:
    once = np.ones(len(scores), dtype=np.int64)
    return weighted_auc(scores, correct, once)


def weighted_auc(scores: np.ndarray, correct: np.ndarray, weights: np.ndarray) -> float:
    ranking = Ranking(scores.astype(float))
    above, pairs = ordered_pairs(ranking, correct.astype(float), weights)
    return float(above / pairs)


def columns(pool: Pool) -> tuple[np.ndarray, np.ndarray]:
    scores, correct = (np.array(column) for column in zip(*pool, strict=True))
    assume(0 < correct.sum() < len(correct))
    return scores, correct


@given(pools)
def test_it_is_the_share_of_pairs_that_are_in_order(pool: Pool) -> None:
    scores, correct = columns(pool)
    pairs = [
        0.5 if right == wrong else float(right > wrong)
        for right in scores[correct]
        for wrong in scores[~correct]
    ]
    assert auc(scores, correct) == pytest.approx(sum(pairs) / len(pairs))
    counted = mannwhitneyu(scores[correct], scores[~correct]).statistic
    assert auc(scores, correct) == pytest.approx(counted / len(pairs))


@given(pools)
def test_only_the_order_of_scores_counts(pool: Pool) -> None:
    scores, correct = columns(pool)
    assert auc(np.exp(scores / 2), correct) == auc(scores, correct)
    assert auc(-scores, correct) == pytest.approx(1 - auc(scores, correct))
    assert auc(scores * 0, correct) == 0.5


@given(pools, st.data())
def test_a_weight_is_a_number_of_copies(pool: Pool, data: st.DataObject) -> None:
    scores, correct = columns(pool)
    counts = st.lists(st.integers(0, 3), min_size=len(pool), max_size=len(pool))
    weights = np.array(data.draw(counts))
    copies = np.repeat(correct, weights)
    assume(0 < copies.sum() < len(copies))
    found = weighted_auc(scores, correct, weights)
    assert found == pytest.approx(auc(np.repeat(scores, weights), copies))


def offset(by: float, group: str) -> ScoredQuestion:
    """A question that is ranked right, with all of its scores moved."""
    texts = ("longest", "long", "x")
    return judged(
        (2 + by, 1 + by, 0 + by), question((True, False, False), group=group, texts=texts)
    )


def test_what_a_prompt_adds_to_all_of_its_scores_is_seen_in_the_pool_alone() -> None:
    rows = table([offset(10.0 * n, f"{n}") for n in range(10)], RESAMPLING).rows
    assert rows["per prompt"]["model"].value == 1.0
    # A right answer is above the wrong ones of its own prompt and of all those before it.
    assert rows["pooled answers"]["model"].value == pytest.approx(sum(range(1, 11)) / 100)
    assert rows["pooled answers"]["model"].n == 30
    for row in rows.values():
        assert row["random"].value == 0.5
        assert row["length_only"].value == 1.0


def test_prompts_without_a_pair_count_in_the_pool_alone() -> None:
    easy = judged((5.0, 4.0), question((True, True), group="easy"))
    hard = judged((1.0, 0.0), question((False, False), group="hard"))
    rows = table([easy, hard], RESAMPLING).measured().rows
    assert rows["pooled answers"]["model"].value == 1.0
    assert "per prompt" not in rows
