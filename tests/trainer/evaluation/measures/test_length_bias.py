import pytest

from tests.trainer.evaluation.made import RESAMPLING, judged, question
from trainer.evaluation.measures.length_bias import accuracy_table, correlation_table
from trainer.evaluation.measures.scored import ScoredQuestion


def of_lengths(right: int, wrong: int, scores: tuple[float, float], group: str) -> ScoredQuestion:
    texts = ("r" * right, "w" * wrong)
    return judged(scores, question((True, False), texts=texts, group=group))


def test_length_alone_is_worth_one_half_once_lengths_are_controlled() -> None:
    """The right one is longer three times of four, so length looks good until then."""
    pairs = [of_lengths(9, 4, (1.0, 0.0), name) for name in "abc"]
    pairs.append(of_lengths(4, 9, (1.0, 0.0), "d"))
    rows = accuracy_table(pairs, RESAMPLING).rows
    assert rows["right one longer"]["length_only"].value == 1.0
    assert rows["length-controlled"]["length_only"].value == 0.5
    assert rows["length-controlled"]["model"].value == 1.0
    assert rows["right one shorter"]["model"].n == 1


def test_pairs_of_equal_length_are_in_neither_stratum() -> None:
    rows = accuracy_table([of_lengths(4, 4, (1.0, 0.0), name) for name in "ab"], RESAMPLING).rows
    assert rows == {}


def test_a_score_that_is_the_length_correlates_fully() -> None:
    pairs = [of_lengths(9, 4, (9.0, 4.0), "a"), of_lengths(3, 8, (13.0, 18.0), "b")]
    row = correlation_table(pairs, RESAMPLING).rows["correlation"]
    assert row["model"].value == pytest.approx(1.0)
    assert row["right_answers"].value == pytest.approx(0.0, abs=0.3)


def test_a_constant_score_does_not_correlate() -> None:
    pairs = [of_lengths(9, 4, (1.0, 1.0), name) for name in "ab"]
    assert correlation_table(pairs, RESAMPLING).rows["correlation"]["model"].value == 0.0
