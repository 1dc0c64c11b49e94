"""Expected calibration error (ECE) of pairs: is the model right as often as it claims?

A margin is the raw score of a right answer less that of a wrong one. In the Bradley-Terry model
sigmoid(margin / temperature) is the probability that the first answer is the better one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from trainer.evaluation.measures.estimate import Estimate, Resampling, Sums, estimate, ratio, share
from trainer.evaluation.measures.scored import ScoredQuestion
from trainer.evaluation.measures.table import Table

# Bins of equal width between a confidence of 0.5, which is a guess, and 1.
BINS = 10


@dataclass(frozen=True)
class Margins:
    """The margin of every pair, and the pair's group."""

    groups: list[str]
    values: NDArray[np.float64]


def margins(scored: list[ScoredQuestion]) -> Margins:
    """Margins of every right answer over every wrong one to the same request."""
    groups, values = [], []
    for item in scored:
        labelled = list(zip(item.scores, item.question.correct, strict=True))
        for better in (score for score, correct in labelled if correct):
            for worse in (score for score, correct in labelled if not correct):
                groups.append(item.question.group)
                values.append(better - worse)
    return Margins(groups, np.array(values))


def error_table(margins: Margins, temperature: float, resampling: Resampling) -> Table:
    """Expected calibration error, beside those of always claiming 0.5 and always claiming 1."""
    row = {
        "model": expected_error(margins, temperature, resampling),
        "coin": expected_error(Margins(margins.groups, margins.values * 0.0), 1.0, resampling),
        # A tiny temperature makes every confidence 1.
        "certain": expected_error(margins, 1e-9, resampling),
    }
    return Table(
        "calibration error",
        f"mean distance, over bins of confidence sigmoid(|margin| / {temperature:g}), between "
        "confidence and accuracy; coin is always 0.5 sure, certain always 1",
        {"expected calibration error": row},
    )


def expected_error(margins: Margins, temperature: float, resampling: Resampling) -> Estimate:
    """Expected calibration error (Guo et al. 2017, arXiv 1706.04599, equation 3)."""
    columns = binned(margins.values, temperature)
    return estimate(margins.groups, columns, error_of_sums, resampling)


def expected_error_of(margins: Sequence[float], temperature: float) -> float:
    """The same figure alone, without an interval."""
    return float(error_of_sums(binned(np.array(margins), temperature).sum(axis=0)))


def reliability(margins: Margins, temperature: float, resampling: Resampling) -> Table:
    """Accuracy in every bin of confidence, beside the mean confidence that it should equal."""
    confidence, right = confidences(margins.values, temperature)
    bins = bins_of(confidence)
    width = 0.5 / BINS
    rows = {}
    # Bins without a pair have no accuracy, and no row.
    for index in sorted(set(bins.tolist())):
        inside = bins == index
        groups = [group for group, kept in zip(margins.groups, inside, strict=True) if kept]
        label = f"{0.5 + index * width:.2f} to {0.5 + (index + 1) * width:.2f}"
        rows[label] = {
            "model": share(groups, right[inside].tolist(), resampling),
            "confidence": share(groups, confidence[inside].tolist(), resampling),
        }
    what = "accuracy of the pairs in each bin of confidence; a calibrated model's equals it"
    return Table("reliability", what, rows, plot="reliability")


def confidences(margins: Sums, temperature: float) -> tuple[Sums, Sums]:
    """For each pair, the confidence in the preferred answer, and whether it is right (tie: 0.5)."""
    confidence: Sums = expit(np.abs(margins) / temperature)
    return confidence, np.where(margins == 0, 0.5, margins > 0)


def bins_of(confidence: Sums) -> NDArray[np.int64]:
    """The bin of each confidence; 1 itself belongs to the last bin."""
    return np.minimum(((confidence - 0.5) * 2 * BINS).astype(np.int64), BINS - 1)


def binned(margins: Sums, temperature: float) -> Sums:
    """Columns [pairs, 2 * BINS + 1] whose sums make the error: in each pair's bin its confidence
    and whether it is right, and a one to count pairs."""
    confidence, right = confidences(margins, temperature)
    member = np.eye(BINS)[bins_of(confidence)]
    columns = np.concatenate([member * confidence[:, None], member * right[:, None]], axis=1)
    return np.concatenate([columns, np.ones((len(right), 1))], axis=1)


def error_of_sums(sums: Sums) -> Sums:
    """Sum over bins of |confidence - accuracy|, each weighted by its share of the pairs."""
    gap = np.abs(sums[..., :BINS] - sums[..., BINS : 2 * BINS]).sum(axis=-1)
    return ratio(gap, sums[..., -1])
