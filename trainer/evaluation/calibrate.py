"""Fit the calibration: mean, spread and deciles of raw scores, and a temperature for pairs.

It is fitted to a split of its own. Figures fitted to the training pairs would be those of answers
that the model remembers.
"""

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import log
from pathlib import Path

import numpy as np
from scipy.optimize import minimize_scalar

from reward_model.release.calibration import Calibration
from trainer.evaluation.held_out import require_held_out
from trainer.evaluation.measures.calibration_error import expected_error_of, margins
from trainer.evaluation.measures.scored import ScoredQuestion, score_questions
from trainer.evaluation.question import question_of
from trainer.evaluation.scorers.network import NetworkScorer
from trainer.pairs.row import read_pairs
from trainer.pipeline.shards import require_rows
from trainer.pipeline.stage import StageError, writing_stage

FILE = "calibration.json"


@dataclass(frozen=True)
class CalibrateConfig:
    """Which stage's checkpoint is calibrated, on the calibration split of which stage's pairs.

    Attributes:
        device: torch's name of the device that scores.
    """

    checkpoint: str = "pretrain"
    pairs: str = "pairs"
    device: str = "cpu"

    def splits(self, stage: str) -> tuple[str, ...]:
        return ("calibration",) if stage == self.pairs else ()


def run(config: CalibrateConfig, inputs: Path, output: Path) -> None:
    """Read the calibration split of `config.pairs`; write `calibration.json`.

    Raises:
        StageError: the split is empty or none of it can be scored, or the checkpoint was trained on
            one of its groups.
    """
    require_rows(inputs / config.pairs, "calibration")
    questions = [question_of(row) for row in read_pairs(inputs / config.pairs, "calibration")]
    # Functions of different packages may be asked for in the same words, so only groups count.
    require_held_out(questions, inputs, config.checkpoint, by_request=False)
    counts: Counter[str] = Counter()
    reads = [inputs / config.pairs, inputs / config.checkpoint]
    scorer = NetworkScorer(inputs / config.checkpoint, device=config.device)
    scored = score_questions(questions, scorer, "both", counts, desc="calibration")
    if not scored:
        raise StageError(f"no row of the calibration split could be scored: {dict(counts)}")
    calibration = fit(scored)
    with writing_stage(config, output, reads=reads) as draft:
        (draft.path / FILE).write_text(calibration.model_dump_json(indent=1) + "\n")
        draft.facts["left_out"] = dict(counts)
        draft.facts["pairs"] = describe(scored, calibration.temperature)


def read(folder: Path) -> Calibration:
    """Read the calibration that `run` wrote."""
    return Calibration.model_validate_json((folder / FILE).read_bytes())


def fit(scored: list[ScoredQuestion]) -> Calibration:
    """Fit to all candidates, chosen and rejected alike, and to all pairs; each counts once."""
    scores = [score for item in scored for score in item.scores]
    deciles = tuple(statistics.quantiles(scores, n=10, method="inclusive"))
    return Calibration(
        mean=statistics.fmean(scores),
        std=statistics.stdev(scores),
        n=len(scores),
        reference="chosen and rejected candidates of groups held out for calibration",
        # Two equal deciles would bound a part that holds nothing, where a tenth is expected.
        deciles=deciles if len(set(deciles)) == len(deciles) else None,
        temperature=fit_temperature(margins(scored).values.tolist()),
    )


def fit_temperature(margins: Sequence[float]) -> float | None:
    """Temperature of the Bradley-Terry model (temperature scaling, arXiv 1706.04599).

    It minimizes the mean of -log sigmoid(margin / T) over pairs, where a margin is the chosen score
    less the rejected one. None if no T > 0 does: if no pair is ranked wrong, smaller ones are
    always better; if margins are not positive on average, larger ones are.
    """
    margins_P = np.asarray(margins, dtype=np.float64)
    # In these cases the loss has no minimum, and the search would run away.
    if not len(margins_P) or margins_P.min() >= 0 or margins_P.mean() <= 0:
        return None
    scale = float(np.abs(margins_P).mean())
    # The loss is convex in 1/T, so in log T it has one minimum; a logarithm has no unit.
    found = minimize_scalar(
        lambda log_t: negative_log_likelihood(margins_P, scale * float(np.exp(log_t))),
        bracket=(-2.0, 2.0),
    )
    return scale * float(np.exp(found.x))


def negative_log_likelihood(margins: Sequence[float] | np.ndarray, temperature: float) -> float:
    """Mean over pairs, in nats; guessing has log 2."""
    return float(np.logaddexp(0.0, -np.asarray(margins) / temperature).mean())


def describe(
    scored: list[ScoredQuestion], temperature: float | None
) -> dict[str, float | int | None]:
    """The effect of the temperature, measured on the pairs that it was fitted to."""
    values = margins(scored).values.tolist()
    facts: dict[str, float | int | None] = {"pairs": len(values), "nll_of_a_coin": log(2)}
    for name, value in (("raw", 1.0), ("fitted", temperature)):
        facts[f"nll_{name}"] = value and negative_log_likelihood(values, value)
        facts[f"ece_{name}"] = value and expected_error_of(values, value)
    return facts
