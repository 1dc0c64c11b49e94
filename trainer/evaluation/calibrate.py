"""Fit the calibration: mean and spread of raw scores over held-out candidates, and a temperature.

On a split of its own: figures fitted to what a model was trained on say how well it remembers.
"""

import statistics
from collections import Counter
from dataclasses import dataclass
from math import log
from pathlib import Path

from reward_model.release.calibration import Calibration
from trainer.evaluation.held_out import require_held_out
from trainer.evaluation.measures.confidence import expected_error_of, margins
from trainer.evaluation.measures.judged import ScoredQuestion, judge
from trainer.evaluation.question import question_of
from trainer.evaluation.scorers.network import NetworkScorer
from trainer.evaluation.temperature import fit_temperature, negative_log_likelihood
from trainer.pairs.row import read_pairs
from trainer.pipeline.stage import StageError, writing_stage


@dataclass(frozen=True)
class CalibrateConfig:
    """Which stage's checkpoint is calibrated, on the calibration split of which stage's pairs."""

    checkpoint: str = "pretrain"
    pairs: str = "pairs"


def run(config: CalibrateConfig, inputs: Path, output: Path) -> None:
    """Read the calibration split of `config.pairs`; write `calibration.json`.

    Raises:
        StageError: the split is empty or none of it can be scored, or the checkpoint was trained on
            one of its groups.
    """
    rows = read_pairs(inputs / config.pairs, "calibration")
    if not rows:
        raise StageError("the calibration split is empty: raise calibration_share, or add groups")
    questions = [question_of(row) for row in rows]
    require_held_out(questions, inputs, config.checkpoint, by_request=False)
    counts: Counter[str] = Counter()
    reads = [inputs / config.pairs, inputs / config.checkpoint]
    scorer = NetworkScorer(inputs / config.checkpoint)
    judged = judge(questions, scorer, "both", counts, desc="calibration")
    if not judged:
        raise StageError(f"no row of the calibration split could be scored: {dict(counts)}")
    calibration = fit(judged)
    with writing_stage(config, output, reads=reads) as draft:
        (draft.path / "calibration.json").write_text(calibration.model_dump_json(indent=1) + "\n")
        draft.facts["left_out"] = dict(counts)
        draft.facts["pairs"] = describe(judged, calibration.temperature)


def read(folder: Path) -> Calibration:
    """What `run` wrote."""
    return Calibration.model_validate_json((folder / "calibration.json").read_bytes())


def fit(judged: list[ScoredQuestion]) -> Calibration:
    """Every candidate counts once, chosen and rejected alike; so does every pair."""
    scores = [score for item in judged for score in item.scores]
    deciles = tuple(statistics.quantiles(scores, n=10, method="inclusive"))
    return Calibration(
        mean=statistics.fmean(scores),
        std=statistics.stdev(scores),
        n=len(scores),
        reference="chosen and rejected candidates of groups held out for calibration",
        deciles=deciles if len(set(deciles)) == len(deciles) else None,
        temperature=fit_temperature(_margins(judged)),
    )


def describe(
    judged: list[ScoredQuestion], temperature: float | None
) -> dict[str, float | int | None]:
    """What the temperature does, on the very pairs it was fitted to."""
    of = _margins(judged)
    facts: dict[str, float | int | None] = {"pairs": len(of), "nll_of_a_coin": log(2)}
    for name, value in (("raw", 1.0), ("fitted", temperature)):
        facts[f"nll_{name}"] = value and negative_log_likelihood(of, value)
        facts[f"ece_{name}"] = value and expected_error_of(of, value)
    return facts


def _margins(judged: list[ScoredQuestion]) -> list[float]:
    return [float(margin) for margin in margins(judged).values]
