"""The evaluator itself is tested with scores whose accuracy is known."""

import pytest

from tests.trainer.evaluation.made import RESAMPLING, judged, pair, question
from trainer.evaluation.measures.pairwise import accuracy, by_kind, by_source, outcomes
from trainer.evaluation.measures.scored import CONTENDERS

MODEL, LENGTH, RANDOM = (CONTENDERS[name] for name in ("model", "length_only", "random"))


def test_right_wrong_and_tied_pairs_get_their_credit() -> None:
    rows = [judged((1.0, score), question((True, False))) for score in (0.0, 2.0, 1.0)]
    assert [outcome.credit for outcome in outcomes(rows, MODEL)] == [1.0, 0.0, 0.5]
    assert accuracy(outcomes(rows, MODEL), RESAMPLING).value == 0.5


def test_every_right_answer_meets_every_wrong_one() -> None:
    row = judged((3.0, 1.0, 2.0, 0.0), question((True, True, False, False)))
    (outcome,) = outcomes([row], MODEL)
    assert (outcome.credit, outcome.pairs) == (3.0, 4)


def test_the_interval_is_over_groups() -> None:
    rows = [pair(1.0, 0.0 if group < "e" else 2.0, group=group) for group in "abcdefgh"]
    found = accuracy(outcomes(rows, MODEL), RESAMPLING)
    assert found.low < 0.5 == found.value < found.high


def test_length_prefers_the_longer_text_and_random_nothing() -> None:
    row = judged((9.0, 0.0, 0.0), question((True, False, False), texts=("ab", "abc", "ab")))
    assert accuracy(outcomes([row], LENGTH), RESAMPLING).value == 0.25
    assert accuracy(outcomes([row], RANDOM), RESAMPLING).value == 0.5


def test_kinds_are_reported_apart_with_the_overall_first() -> None:
    table = by_kind([pair(1.0, 0.0), pair(1.0, 2.0, kind="other", group="b")], RESAMPLING)
    assert list(table.rows) == ["overall", "mutant", "other"]
    assert [row["model"].value for row in table.rows.values()] == [0.5, 1.0, 0.0]
    assert table.rows["overall"]["model"].n == 2


def test_sources_are_reported_apart() -> None:
    rows = [
        judged((1.0, 0.0), question((True, False), source="one")),
        judged((0.0, 1.0), question((True, False), source="two", group="b")),
    ]
    table = by_source(rows, RESAMPLING)
    figures = {name: row["model"].value for name, row in table.rows.items()}
    assert figures == pytest.approx({"one": 1.0, "two": 0.0})
