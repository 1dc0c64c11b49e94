"""The distribution of recent scores, and how far it drifted from the release's reference.

"Recent" is exponential: the weight of a score fades with every score after it. This module is pure
numbers and knows nothing of Prometheus.
"""

import math
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from reward_model.release.calibration import Calibration

Floats = NDArray[np.float64]

# After this many scores a score has 1/e of the weight that it had when it was new.
MEMORY = 1000

# Scores before drift and correlation are reported: those of fewer are mostly chance.
MIN_SCORES = 200

# Scores are added by the chunk: one by one they would cost a request of one candidate a tenth of a
# millisecond.
_CHUNK = 256

_DEVIATIONS = np.arange(-4.0, 4.5, 0.5)
_UNCALIBRATED = np.array([-32, -16, -8, -4, -2, -1, 0, 1, 2, 4, 8, 16, 32], np.float64)

# Weight that each bin has beforehand, so that an empty one does not make the drift infinite.
_PRIOR = 0.5

# A deviation smaller than this part of the mean is rounding: float32 scores are not that exact.
_ROUNDING = 1e-9


class RecentMoments:
    """Means and covariances of recent rows; each row has `columns` values."""

    def __init__(self, columns: int) -> None:
        self._weight = 0.0
        self._mean = np.zeros(columns)
        self._scatter = np.zeros((columns, columns))

    def add(self, rows: Floats) -> None:
        """Add rows, oldest first."""
        weights, fade = _fading(len(rows))
        # Chan's formula for joining two sets of moments loses no digits to a large mean.
        weight, kept = weights.sum(), self._weight * fade
        mean = weights @ rows / weight
        centred, step = rows - mean, mean - self._mean
        self._scatter *= fade
        self._scatter += (centred.T * weights) @ centred
        self._weight = kept + weight
        self._scatter += np.outer(step, step) * kept * weight / self._weight
        self._mean += step * weight / self._weight

    @property
    def means(self) -> Floats:
        """The mean of each column; NaN before the first row."""
        return self._mean if self._weight else np.full_like(self._mean, np.nan)

    def correlation(self, left: int, right: int) -> float:
        """Return Pearson's correlation of two columns; NaN while one of them does not vary."""
        deviations = np.sqrt(np.diag(self._scatter) / (self._weight or 1.0))
        if np.any(deviations[[left, right]] <= _ROUNDING * np.abs(self._mean[[left, right]])):
            return math.nan
        covariance = self._scatter[left, right] / self._weight
        return float(np.clip(covariance / (deviations[left] * deviations[right]), -1, 1))


class RecentShares:
    """The share of recent values in each bin between ascending `edges`."""

    def __init__(self, edges: Sequence[float]) -> None:
        self._edges = np.asarray(edges, np.float64)
        self._weights = np.zeros(len(self._edges) + 1)

    def add(self, values: Floats) -> None:
        weights, fade = _fading(len(values))
        bins = np.searchsorted(self._edges, values, side="right")
        self._weights *= fade
        self._weights += np.bincount(bins, weights, minlength=len(self._weights))

    def stability_index(self) -> float:
        """Return the population stability index against equal shares; 0 is no drift."""
        seen = self._weights + _PRIOR
        return population_stability_index(seen / seen.sum(), np.full(len(seen), 1 / len(seen)))


class ScoreStatistics:
    """The statistics of one release's scores.

    Attributes:
        bounds: ascending upper bounds of the histogram: half deviations around the calibration's
            mean, or fixed ones where there is no calibration.
    """

    def __init__(self, calibration: Calibration | None) -> None:
        self.bounds = _UNCALIBRATED
        if calibration:
            self.bounds = calibration.mean + calibration.std * _DEVIATIONS
        self._counts = np.zeros(len(self.bounds) + 1, np.int64)
        self._pending: list[tuple[float, int]] = []
        self._moments = RecentMoments(2)
        self._shares = RecentShares(calibration.expected_deciles()) if calibration else None

    def add(self, answered: Iterable[tuple[float, int]]) -> None:
        """Add raw scores, oldest first, each with the tokens of its text."""
        self._pending.extend(answered)
        if len(self._pending) >= _CHUNK:
            self._add_pending()

    @property
    def counts(self) -> NDArray[np.int64]:
        """How many scores lie in each bin up to a bound; the last bin is above all bounds."""
        self._add_pending()
        return self._counts

    @property
    def mean(self) -> float:
        """Mean of recent raw scores; NaN before the first."""
        self._add_pending()
        return float(self._moments.means[0])

    @property
    def length_correlation(self) -> float:
        """Correlation of raw score and tokens; NaN before `MIN_SCORES`."""
        return self._moments.correlation(0, 1) if self._enough else math.nan

    @property
    def drift(self) -> float:
        """Stability index against the calibration; NaN without one or before `MIN_SCORES`."""
        return self._shares.stability_index() if self._shares and self._enough else math.nan

    def _add_pending(self) -> None:
        if not self._pending:
            return
        rows = np.array(self._pending, np.float64)
        self._pending.clear()
        scores = rows[:, 0]
        bins = np.searchsorted(self.bounds, scores, side="left")
        self._counts += np.bincount(bins, minlength=len(self._counts))
        self._moments.add(rows)
        if self._shares:
            self._shares.add(scores)

    @property
    def _enough(self) -> bool:
        return int(self.counts.sum()) >= MIN_SCORES


def population_stability_index(seen: Floats, expected: Floats) -> float:
    """Return the sum of (seen - expected) * ln(seen / expected); all shares are positive."""
    return float(np.sum((seen - expected) * np.log(seen / expected)))


def _fading(count: int) -> tuple[Floats, float]:
    """Return the weights of `count` new values, oldest first, and the factor on all older ones."""
    return np.exp(-np.arange(count - 1, -1, -1) / MEMORY), math.exp(-count / MEMORY)
