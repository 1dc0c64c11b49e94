import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.policy.multi_reference import (
    clipped,
    first_weight,
    virtual_log_prob,
    virtual_reference,
)

# Sums over whole answers reach thousands of nats.
LOG_PROBS = st.floats(-20_000, -1e-3)
WEIGHTS = st.floats(0, 1)


@given(LOG_PROBS, LOG_PROBS, WEIGHTS)
def test_the_virtual_reference_lies_between_the_two(one: float, two: float, weight: float) -> None:
    found = virtual_log_prob(one, two, weight)
    assert min(one, two) - 1e-9 <= found <= max(one, two) + 1e-9


@given(LOG_PROBS, LOG_PROBS)
def test_all_the_weight_leaves_one_reference(one: float, two: float) -> None:
    assert virtual_log_prob(one, two, 1.0) == pytest.approx(one)
    assert virtual_log_prob(one, two, 0.0) == pytest.approx(two)


@given(LOG_PROBS, LOG_PROBS, WEIGHTS, WEIGHTS)
def test_more_weight_moves_it_towards_the_first(
    one: float, two: float, weight: float, more: float
) -> None:
    low, high = (virtual_log_prob(one, two, each) for each in sorted((weight, more)))
    assert abs(high - one) <= abs(low - one) + 1e-9


@given(st.floats(0.01, 0.99), st.floats(0.01, 0.99), WEIGHTS)
def test_it_is_the_weighted_harmonic_mean_of_probabilities(
    one: float, two: float, weight: float
) -> None:
    harmonic = 1 / (weight / one + (1 - weight) / two)
    assert virtual_log_prob(math.log(one), math.log(two), weight) == pytest.approx(
        math.log(harmonic), abs=1e-9
    )


@given(st.floats(0.05, 0.95), st.floats(0.05, 0.95), st.floats(0.05, 0.95), WEIGHTS)
def test_it_bounds_the_weighted_divergences_from_both(
    policy: float, one: float, two: float, weight: float
) -> None:
    """The inequality of the derivation, on distributions over two answers."""

    def divergence(reference: tuple[float, float]) -> float:
        pairs = zip((policy, 1 - policy), reference, strict=True)
        return sum(p * (math.log(p) - q) for p, q in pairs)

    logs = [(math.log(each), math.log(1 - each)) for each in (one, two)]
    both = weight * divergence(logs[0]) + (1 - weight) * divergence(logs[1])
    virtual = [virtual_log_prob(a, b, weight) for a, b in zip(*logs, strict=True)]
    assert both <= divergence((virtual[0], virtual[1])) + 1e-9


@given(LOG_PROBS, LOG_PROBS, st.floats(0, 0.9))
def test_the_second_reference_stays_near_the_first(one: float, two: float, eta: float) -> None:
    found = clipped(two, one, eta)
    assert abs(found - one) <= eta * abs(one) + 1e-9
    if abs(two - one) <= eta * abs(one) - 1e-9:
        assert found == two


def test_the_reference_that_tells_the_answers_apart_counts_more() -> None:
    assert first_weight((-10.0, -13.0), (-10.0, -11.0)) == 0.75
    assert first_weight((-10.0, -10.0), (-10.0, -10.0)) == 0.5
    # At that weight the first one's rejected answer decides, though the second one is surer of it.
    chosen, rejected = virtual_reference((-10.0, -13.0), (-10.0, -12.0), eta=0.5)
    assert chosen == pytest.approx(-10.0)
    middle = -math.log(0.5 * math.exp(13.0) + 0.5 * math.exp(12.0))
    assert rejected < middle


@given(LOG_PROBS, LOG_PROBS, LOG_PROBS, LOG_PROBS)
def test_without_room_the_first_reference_is_left(a: float, b: float, c: float, d: float) -> None:
    assert virtual_reference((a, b), (c, d), eta=0.0) == (pytest.approx(a), pytest.approx(b))
