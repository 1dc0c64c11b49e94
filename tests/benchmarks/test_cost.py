import pytest

from benchmarks.cost import Point, attended_pairs, fits
from reward_model.packing import Sequence, pack


def test_a_shared_token_attends_once() -> None:
    packed = pack([Sequence((1, 2, 3), (2,)), Sequence((1, 2, 4), (2,))])
    assert attended_pairs(packed) == 1 + 2 + 3 + 3


def test_cost_that_is_linear_is_found_to_be() -> None:
    points = [
        Point(50, n, tokens=100 * n, sent=200 * n, pairs=n**3, seconds=0.01 + 0.001 * 100 * n)
        for n in (1, 2, 4, 9)
    ]
    tokens_only, with_pairs = fits(points)
    assert tokens_only.coefficients == pytest.approx((0.01, 0.001))
    assert with_pairs.coefficients == pytest.approx((0.01, 0.001, 0), abs=1e-9)
