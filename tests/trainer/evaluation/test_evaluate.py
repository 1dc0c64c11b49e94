"""The evaluator itself is tested with scorers whose accuracy is known."""

import pytest

from trainer.evaluation.evaluate import (
    EvaluateConfig,
    accuracy,
    by_kind,
    length_scores,
    model_scores,
    outcomes,
    random_scores,
)
from trainer.evaluation.scored import Scored
from trainer.pairs.row import Candidate, Pairs

CONFIG = EvaluateConfig(resamples=200)


def scored(package: str, chosen: float, *rejected: float) -> Scored:
    candidates = tuple(Candidate("mutant", "xx" * (i + 1)) for i in range(len(rejected)))
    return Scored(Pairs("1", package, "p", "xx", candidates), chosen, rejected)


def test_right_wrong_and_tied_pairs_get_their_credit() -> None:
    found = outcomes([scored("a", 1.0, 0.0, 2.0, 1.0)], model_scores)
    assert [outcome.credit for outcome in found] == [1.0, 0.0, 0.5]
    assert accuracy(found, CONFIG).accuracy == 0.5


def test_the_interval_is_over_packages() -> None:
    same = [scored(package, 1.0, 0.0, 0.0, 2.0) for package in "abcdefgh"]
    uniform = accuracy(outcomes(same, model_scores), CONFIG)
    assert uniform.low == pytest.approx(uniform.accuracy) == pytest.approx(uniform.high)
    mixed = [scored(p, 1.0, 0.0 if p < "e" else 2.0) for p in "abcdefgh"]
    split = accuracy(outcomes(mixed, model_scores), CONFIG)
    assert split.low < 0.5 == split.accuracy < split.high


def test_length_prefers_the_longer_text() -> None:
    assert [o.credit for o in outcomes([scored("a", 0.0, 9.0, 9.0)], length_scores)] == [0.5, 0.0]


def test_random_is_near_one_half() -> None:
    rows = [scored(f"p{i}", 0.0, *[0.0] * 10) for i in range(100)]
    assert accuracy(outcomes(rows, random_scores(1)), CONFIG).accuracy == pytest.approx(
        0.5, abs=0.1
    )


def test_kinds_are_reported_apart_with_the_overall_first() -> None:
    report = by_kind(outcomes([scored("a", 1.0, 0.0), scored("b", 1.0, 2.0)], model_scores), CONFIG)
    assert list(report) == ["overall", "mutant"]
    assert report["overall"].pairs == 2


def test_one_package_says_nothing_about_others() -> None:
    alone = accuracy(outcomes([scored("a", 1.0, 0.0)], model_scores), CONFIG)
    assert (alone.accuracy, alone.low, alone.high) == (1.0, 0.0, 1.0)
