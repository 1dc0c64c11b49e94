"""Fit the calibration: mean and spread of raw scores over held-out candidates."""

import statistics
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from reward_model.calibration import Calibration
from trainer.evaluation.scored import score_rows
from trainer.pairs.row import read_pairs
from trainer.stage import writing_stage


@dataclass(frozen=True)
class CalibrateConfig:
    """Which stage's checkpoint is calibrated."""

    checkpoint: str = "pretrain"


def run(config: CalibrateConfig, inputs: Path, output: Path) -> None:
    """Read the calibration split of `pairs`; write `calibration.json`."""
    rows = read_pairs(inputs / "pairs", "calibration")
    reads = [inputs / "pairs", inputs / config.checkpoint]
    counts: Counter[str] = Counter()
    scored = score_rows(inputs / config.checkpoint, rows, counts)
    scores = [score for row in scored for score in (row.chosen, *row.rejected)]
    with writing_stage(config, output, reads=reads) as draft:
        text = fit(scores).model_dump_json(indent=1)
        (draft.path / "calibration.json").write_text(text + "\n")
        draft.facts["left_out"] = dict(counts)


def read(folder: Path) -> Calibration:
    """What `run` wrote."""
    return Calibration.model_validate_json((folder / "calibration.json").read_bytes())


def fit(scores: list[float]) -> Calibration:
    """Every candidate counts once, chosen and rejected alike."""
    deciles = tuple(statistics.quantiles(scores, n=10, method="inclusive"))
    return Calibration(
        mean=statistics.fmean(scores),
        std=statistics.stdev(scores),
        n=len(scores),
        reference="chosen and rejected candidates of packages held out for calibration",
        deciles=deciles if len(set(deciles)) == len(deciles) else None,
    )
