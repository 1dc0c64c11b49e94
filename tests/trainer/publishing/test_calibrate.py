"""What is fitted, and that it is refused on what the checkpoint was trained on."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from trainer.evaluation.scored import Scored
from trainer.lineage import require_unseen
from trainer.pairs.row import Candidate, Pairs, write_pairs
from trainer.publishing.calibrate import describe, fit, margins_of
from trainer.stage import StageError, writing_stage


def scored(*scores: float) -> list[Scored]:
    """One row for each pair of scores, the first chosen."""
    row = Pairs("1", "a", "p", "x", (Candidate("mutant", "y"),))
    pairs = zip(scores[::2], scores[1::2], strict=True)
    return [Scored(row, chosen, (rejected,)) for chosen, rejected in pairs]


def test_mean_deviation_and_deciles() -> None:
    calibration = fit(scored(*(float(score) for score in range(100))))
    assert (calibration.mean, calibration.n) == (49.5, 100)
    assert calibration.std == pytest.approx(29.01, abs=0.01)
    assert calibration.deciles == pytest.approx([9.9 * i for i in range(1, 10)])


def test_scores_that_are_mostly_equal_have_no_deciles() -> None:
    assert fit(scored(*[1.0, 2.0] * 50)).deciles is None


def test_the_temperature_is_of_margins_and_improves_on_none() -> None:
    rows = scored(9.0, 1.0, 4.0, 1.0, 1.0, 6.0)
    assert margins_of(rows) == [8.0, 3.0, -5.0]
    temperature = fit(rows).temperature
    assert temperature is not None
    facts = describe(margins_of(rows), temperature)
    assert facts["nll_fitted"] <= facts["nll_of_a_coin"] <= facts["nll_raw"]  # type: ignore[operator]
    assert fit(scored(2.0, 1.0, 3.0, 1.0)).temperature is None


@dataclass(frozen=True)
class Config:
    """Of stages made by hand."""

    start: str = ""


def pairs_of(folder: Path, split: str, *groups: str) -> None:
    rows = [Pairs(group, group, "p", "x", (Candidate("mutant", "y"),)) for group in groups]
    with writing_stage(Config(), folder) as draft:
        write_pairs(draft.path, split, rows, 10)


def test_pairs_of_any_earlier_run_count_as_seen(tmp_path: Path) -> None:
    pairs_of(tmp_path / "early", "train", "a", "b")
    pairs_of(tmp_path / "late", "train", "c")
    for stage, reads in (("warmup", ["early"]), ("pretrain", ["late", "warmup"])):
        with writing_stage(Config(), tmp_path / stage, reads=[tmp_path / name for name in reads]):
            pass
    unseen, seen = (
        [Pairs(g, g, "p", "x", (Candidate("mutant", "y"),)) for g in groups]
        for groups in ("d", "bd")
    )
    require_unseen(unseen, "calibration", tmp_path, "pretrain")
    with pytest.raises(StageError, match=r"pretrain was trained on b \(early\)"):
        require_unseen(seen, "calibration", tmp_path, "pretrain")
    with pytest.raises(StageError, match="calibration split is empty"):
        require_unseen([], "calibration", tmp_path, "pretrain")


def test_a_stage_whose_source_has_changed_stands_for_nothing(tmp_path: Path) -> None:
    pairs_of(tmp_path / "pairs", "train", "a")
    with writing_stage(Config(), tmp_path / "base", reads=[tmp_path / "pairs"]):
        pass
    pairs_of(tmp_path / "pairs", "train", "b")
    rows = [Pairs("c", "c", "p", "x", (Candidate("mutant", "y"),))]
    with pytest.raises(StageError, match="pairs has changed since base read it"):
        require_unseen(rows, "calibration", tmp_path, "base")
