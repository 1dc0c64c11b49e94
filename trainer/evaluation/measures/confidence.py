"""Calibration of pairs: is sigmoid(margin / temperature) how often a right answer wins?"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from trainer.evaluation.measures.estimate import Estimate, Resampling, Sums, estimate, ratio, share
from trainer.evaluation.measures.judged import ScoredQuestion
from trainer.evaluation.measures.table import Table

BINS = 10
"""Of equal width between confidence 0.5, a guess, and 1."""


@dataclass(frozen=True)
class Margins:
    """Of every pair: its group, and by how much the right answer scores higher."""

    groups: list[str]
    values: NDArray[np.float64]


def margins(judged: list[ScoredQuestion]) -> Margins:
    found = [pair for item in judged for pair in _margins(item)]
    return Margins([group for group, _ in found], np.array([value for _, value in found]))


def error_table(of: Margins, temperature: float, how: Resampling) -> Table:
    """Expected calibration error, beside that of a model that claims to know nothing."""
    row = {
        "model": expected_error(of, temperature, how),
        "coin": expected_error(Margins(of.groups, of.values * 0.0), 1.0, how),
        "certain": expected_error(of, 1e-9, how),
    }
    return Table(
        "calibration error",
        f"mean distance, over bins of confidence sigmoid(|margin| / {temperature:g}), between "
        "confidence and accuracy; coin is always 0.5 sure, certain always 1",
        {"expected calibration error": row},
    )


def expected_error(of: Margins, temperature: float, how: Resampling) -> Estimate:
    """Guo et al. 2017, equation 3, on the side that the model prefers."""
    return estimate(of.groups, _columns(of.values, temperature), _error, how)


def expected_error_of(margins: Sequence[float], temperature: float) -> float:
    """The same figure alone, without an interval."""
    return float(_error(_columns(np.array(margins), temperature).sum(axis=0)))


def reliability(of: Margins, temperature: float, how: Resampling) -> Table:
    """Accuracy in every bin of confidence, beside the confidence it should equal."""
    confidence, right = _claims(of.values, temperature)
    bins = _bins(confidence)
    rows = {}
    for index in sorted(set(bins.tolist())):
        inside = bins == index
        groups = [group for group, kept in zip(of.groups, inside, strict=True) if kept]
        rows[_label(index)] = {
            "model": share(groups, right[inside].tolist(), how),
            "confidence": share(groups, confidence[inside].tolist(), how),
        }
    what = "accuracy of the pairs in each bin of confidence; a calibrated model's equals it"
    return Table("reliability", what, rows, plot="reliability")


def _margins(judged: ScoredQuestion) -> Iterator[tuple[str, float]]:
    labelled = list(zip(judged.scores, judged.question.correct, strict=True))
    for better in (score for score, correct in labelled if correct):
        for worse in (score for score, correct in labelled if not correct):
            yield judged.question.group, better - worse


def _columns(margins: Sums, temperature: float) -> Sums:
    """Of every pair, by bins: its confidence, whether it is right; and a one."""
    confidence, right = _claims(margins, temperature)
    member = np.eye(BINS)[_bins(confidence)]
    columns = np.concatenate([member * confidence[:, None], member * right[:, None]], axis=1)
    return np.concatenate([columns, np.ones((len(right), 1))], axis=1)


def _claims(margins: Sums, temperature: float) -> tuple[Sums, Sums]:
    """How sure the preferred side is, and whether it is right; half for a tie."""
    confidence: Sums = expit(np.abs(margins) / temperature)
    return confidence, np.where(margins == 0, 0.5, margins > 0)


def _bins(confidence: Sums) -> NDArray[np.int64]:
    return np.minimum(((confidence - 0.5) * 2 * BINS).astype(np.int64), BINS - 1)


def _error(sums: Sums) -> Sums:
    gap = np.abs(sums[..., :BINS] - sums[..., BINS : 2 * BINS]).sum(axis=-1)
    return ratio(gap, sums[..., -1])


def _label(index: int) -> str:
    width = 0.5 / BINS
    return f"{0.5 + index * width:.2f} to {0.5 + (index + 1) * width:.2f}"
