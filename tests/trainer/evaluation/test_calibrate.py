"""Fits are held against known figures, a known temperature, and its neighbors."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.trainer.evaluation.made import pair
from tests.trainer.training.stages import make_base
from trainer.evaluation.calibrate import (
    CalibrateConfig,
    describe,
    fit,
    fit_temperature,
    negative_log_likelihood,
    run,
)
from trainer.evaluation.measures.calibration_error import expected_error_of
from trainer.evaluation.measures.scored import ScoredQuestion
from trainer.pairs.row import PreferenceRow, Rejected, write_pairs
from trainer.pipeline.stage import StageError, writing_stage


def judged(*scores: float) -> list[ScoredQuestion]:
    """One row for each pair of scores, the first chosen."""
    return [pair(*both) for both in zip(scores[::2], scores[1::2], strict=True)]


def test_mean_deviation_and_deciles() -> None:
    calibration = fit(judged(*(float(score) for score in range(100))))
    assert (calibration.mean, calibration.n) == (49.5, 100)
    assert calibration.std == pytest.approx(29.01, abs=0.01)
    assert calibration.deciles == pytest.approx([9.9 * i for i in range(1, 10)])


def test_scores_that_are_mostly_equal_have_no_deciles() -> None:
    assert fit(judged(*[1.0, 2.0] * 50)).deciles is None


def test_the_temperature_is_of_margins_and_improves_on_none() -> None:
    rows = judged(9.0, 1.0, 4.0, 1.0, 1.0, 6.0)
    temperature = fit(rows).temperature
    assert temperature is not None
    facts = describe(rows, temperature)
    margins = [8.0, 3.0, -5.0]
    assert facts["pairs"] == len(margins)
    assert facts["nll_raw"] == negative_log_likelihood(margins, 1.0)
    assert facts["nll_fitted"] <= facts["nll_of_a_coin"] <= facts["nll_raw"]  # type: ignore[operator]
    assert fit(judged(2.0, 1.0, 3.0, 1.0)).temperature is None


def test_an_empty_split_says_what_to_do(tmp_path: Path) -> None:
    for stage in ("pairs", "pretrain"):
        with writing_stage(CalibrateConfig(), tmp_path / stage):
            pass
    with pytest.raises(StageError, match="raise calibration_share"):
        run(CalibrateConfig(), tmp_path, tmp_path / "calibrate")


def test_answers_that_cannot_be_scored_are_counted_in_the_refusal(tmp_path: Path) -> None:
    make_base(tmp_path / "pretrain")
    with writing_stage(CalibrateConfig(), tmp_path / "pairs") as draft:
        row = PreferenceRow("1", "a", "p", "", (Rejected("mutant", "y"),))
        write_pairs(draft.path, "calibration", [row], 10)
    with pytest.raises(StageError, match=r"could be scored: .'chosen: empty': 1"):
        run(CalibrateConfig(), tmp_path, tmp_path / "calibrate")


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
