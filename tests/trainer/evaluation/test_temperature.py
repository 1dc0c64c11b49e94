"""The fit is held against what it must find: a known temperature, and no better one beside it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.evaluation.measures.confidence import expected_error_of
from trainer.evaluation.temperature import fit_temperature, negative_log_likelihood

finite = st.floats(-50, 50).map(lambda value: round(value, 3))


def drawn(temperature: float, pairs: int = 20_000) -> list[float]:
    """Margins whose sign is as probable as a sigmoid at this temperature says."""
    rng = np.random.default_rng(1)
    size = rng.exponential(3.0, pairs)
    right = rng.random(pairs) < 1 / (1 + np.exp(-size / temperature))
    return [float(margin) for margin in np.where(right, size, -size)]


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_finds_the_temperature_that_pairs_were_drawn_with(temperature: float) -> None:
    margins = drawn(temperature)
    assert fit_temperature(margins) == pytest.approx(temperature, rel=0.05)
    assert expected_error_of(margins, temperature) < 0.01
    assert expected_error_of(margins, temperature / 4) > 0.03


@given(st.lists(finite, min_size=1, max_size=40))
def test_no_temperature_beside_it_is_better(margins: list[float]) -> None:
    fitted = fit_temperature(margins)
    if fitted is None:
        assert min(margins) >= 0 or np.mean(margins) <= 0
        return
    best = negative_log_likelihood(margins, fitted)
    assert best <= np.log(2) + 1e-9
    for factor in (0.5, 0.9, 1.1, 2.0, 100.0):
        assert best <= negative_log_likelihood(margins, fitted * factor) + 1e-9


@given(st.floats(0.01, 1000))
def test_it_has_the_scores_unit(scale: float) -> None:
    margins = [3.0, 1.0, 2.0, -1.0, 0.5]
    base = fit_temperature(margins)
    assert base is not None
    assert fit_temperature([m * scale for m in margins]) == pytest.approx(base * scale, rel=1e-4)


@pytest.mark.parametrize("margins", [[], [1.0, 2.0], [0.0, 1.0], [-1.0, 1.0], [-2.0, 1.0]])
def test_there_is_none_where_none_is_best(margins: list[float]) -> None:
    assert fit_temperature(margins) is None
