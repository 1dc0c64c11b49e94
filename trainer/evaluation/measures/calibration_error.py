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
    """The margin of every pair, and the pair's group.

    Attributes:
        groups: numbers in place of names: a pool of 256 candidates has thousands of pairs.
    """

    groups: NDArray[np.int64]
    values: NDArray[np.float64]


def margins(scored: list[ScoredQuestion]) -> Margins:
    """Margins of every right answer over every wrong one to the same request."""
    numbers = {name: n for n, name in enumerate(sorted({item.question.group for item in scored}))}
    groups, values = [np.empty(0, dtype=np.int64)], [np.empty(0)]
    for item in scored:
        scores, correct = np.array(item.scores), np.array(item.question.correct)
        values.append((scores[correct][:, None] - scores[~correct]).ravel())
        groups.append(np.full(len(values[-1]), numbers[item.question.group]))
    return Margins(np.concatenate(groups), np.concatenate(values))


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
    columns = binned(margins, temperature)
    members = np.arange(len(columns))
    return estimate(members, columns, error_of_sums, resampling, n=len(margins.values))


def expected_error_of(margins: Sequence[float], temperature: float) -> float:
    """The same figure alone, without an interval."""
    values = np.array(margins)
    together = Margins(np.zeros(len(values), dtype=np.int64), values)
    return float(error_of_sums(binned(together, temperature)[0]))


def reliability(margins: Margins, temperature: float, resampling: Resampling) -> Table:
    """Accuracy in every bin of confidence, beside the mean confidence that it should equal."""
    confidence, right = confidences(margins.values, temperature)
    bins = bins_of(confidence)
    width = 0.5 / BINS
    rows = {}
    # Bins without a pair have no accuracy, and no row.
    for index in sorted(set(bins.tolist())):
        inside = bins == index
        groups = margins.groups[inside]
        label = f"{0.5 + index * width:.2f} to {0.5 + (index + 1) * width:.2f}"
        rows[label] = {
            "model": share(groups, right[inside], resampling),
            "confidence": share(groups, confidence[inside], resampling),
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


def binned(margins: Margins, temperature: float) -> Sums:
    """Columns [groups, 2 * BINS + 1] whose sums make the error: for each bin the confidence of the
    group's pairs in it and how many are right, and the number of the group's pairs."""
    confidence, right = confidences(margins.values, temperature)
    _, groups, counts = np.unique(margins.groups, return_inverse=True, return_counts=True)
    cells = groups * BINS + bins_of(confidence)
    shape = (len(counts), BINS)
    parts = [
        np.bincount(cells, each, minlength=len(counts) * BINS).reshape(shape)
        for each in (confidence, right)
    ]
    return np.column_stack([*parts, counts])


def error_of_sums(sums: Sums) -> Sums:
    """Sum over bins of |confidence - accuracy|, each weighted by its share of the pairs."""
    gap = np.abs(sums[..., :BINS] - sums[..., BINS : 2 * BINS]).sum(axis=-1)
    return ratio(gap, sums[..., -1])
