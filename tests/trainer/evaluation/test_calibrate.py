"""What is fitted; what it may be fitted on is of `tests/trainer/evaluation/test_held_out.py`."""

from pathlib import Path

import pytest

from tests.trainer.evaluation.made import pair
from tests.trainer.training.stages import make_base
from trainer.evaluation.calibrate import CalibrateConfig, describe, fit, run
from trainer.evaluation.measures.judged import ScoredQuestion
from trainer.evaluation.temperature import negative_log_likelihood
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
