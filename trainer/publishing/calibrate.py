"""Fit the calibration: mean and spread of raw scores over held-out candidates, and a temperature.

On a split of its own: figures fitted to what a model was trained on say how well it remembers.
"""

import statistics
from collections import Counter
from dataclasses import dataclass
from math import log
from pathlib import Path

from reward_model.calibration import Calibration
from trainer.evaluation.held_out import require_held_out
from trainer.evaluation.measures.confidence import expected_error_of
from trainer.evaluation.scored import Scored, question_of, score_rows
from trainer.pairs.row import read_pairs
from trainer.publishing.temperature import fit_temperature, negative_log_likelihood
from trainer.stage import StageError, writing_stage


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
    require_held_out(map(question_of, rows), inputs, config.checkpoint, by_request=False)
    counts: Counter[str] = Counter()
    reads = [inputs / config.pairs, inputs / config.checkpoint]
    scored = score_rows(inputs / config.checkpoint, rows, counts, desc="calibration")
    if not scored:
        raise StageError(f"no row of the calibration split could be scored: {dict(counts)}")
    calibration, margins = fit(scored), margins_of(scored)
    with writing_stage(config, output, reads=reads) as draft:
        (draft.path / "calibration.json").write_text(calibration.model_dump_json(indent=1) + "\n")
        draft.facts["left_out"] = dict(counts)
        draft.facts["pairs"] = describe(margins, calibration.temperature)


def read(folder: Path) -> Calibration:
    """What `run` wrote."""
    return Calibration.model_validate_json((folder / "calibration.json").read_bytes())


def fit(scored: list[Scored]) -> Calibration:
    """Every candidate counts once, chosen and rejected alike; so does every pair."""
    scores = [score for row in scored for score in (row.chosen, *row.rejected)]
    deciles = tuple(statistics.quantiles(scores, n=10, method="inclusive"))
    return Calibration(
        mean=statistics.fmean(scores),
        std=statistics.stdev(scores),
        n=len(scores),
        reference="chosen and rejected candidates of groups held out for calibration",
        deciles=deciles if len(set(deciles)) == len(deciles) else None,
        temperature=fit_temperature(margins_of(scored)),
    )


def margins_of(scored: list[Scored]) -> list[float]:
    """Of every pair: the chosen answer's raw score less the rejected one's."""
    return [row.chosen - rejected for row in scored for rejected in row.rejected]


def describe(margins: list[float], temperature: float | None) -> dict[str, float | int | None]:
    """What the temperature does, on the very pairs it was fitted to."""
    facts: dict[str, float | int | None] = {"pairs": len(margins), "nll_of_a_coin": log(2)}
    for name, value in (("raw", 1.0), ("fitted", temperature)):
        facts[f"nll_{name}"] = value and negative_log_likelihood(margins, value)
        facts[f"ece_{name}"] = value and expected_error_of(margins, value)
    return facts
