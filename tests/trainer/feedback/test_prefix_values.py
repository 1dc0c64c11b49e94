from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from tests.trainer.feedback.rows import SAMPLER, answer
from trainer.feedback.pass_count import PassCount
from trainer.feedback.prefix_values import prefix_values, wilson
from trainer.feedback.prefixes import Prefix

PREFIX = Prefix("p", "s", "add", "Solve add.", "def add(a, b):", 1, 3, SAMPLER)


def test_a_value_is_the_mean_share_of_tests_passed() -> None:
    completions = [answer(f"c{number}", "", prefix="p") for number in range(3)]
    passes = [PassCount(f"c{number}", "add", 2 * number, 4) for number in range(3)]
    counts: Counter[str] = Counter()
    value = prefix_values([PREFIX], completions, passes, 3, counts)["p"]
    assert value.value == pytest.approx(0.5)
    assert (value.completions, value.tests) == (3, 4)
    assert (value.low, value.high) == wilson(0.5, 3)
    assert counts["completion: labelled"] == 3


def test_completions_without_a_label_count_for_nothing() -> None:
    completions = [answer(f"c{number}", "", prefix="p") for number in range(4)]
    passes = [PassCount("c0", "add", 4, 4), PassCount("c1", "add", 4, 4)]
    counts: Counter[str] = Counter()
    assert prefix_values([PREFIX], completions, passes, 3, counts) == {}
    assert counts["completion: without label"] == 2
    assert counts["prefix: too few labelled completions"] == 1
    assert prefix_values([PREFIX], completions, passes, 2, counts)["p"].value == 1.0


@pytest.mark.parametrize(("right", "number"), [(0, 3), (2, 3), (4, 5), (5, 5)])
def test_intervals_of_right_and_wrong_completions_are_those_of_scipy(
    right: int, number: int
) -> None:
    oracle = binomtest(right, number).proportion_ci(method="wilson")
    assert wilson(right / number, number) == pytest.approx((oracle.low, oracle.high), abs=1e-6)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=9))
def test_an_interval_holds_its_mean_and_has_a_width(shares: list[float]) -> None:
    mean = sum(shares) / len(shares)
    low, high = wilson(mean, len(shares))
    assert 0 <= low <= mean + 1e-9
    assert mean - 1e-9 <= high <= 1
    assert high - low > 0.2
