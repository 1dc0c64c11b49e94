"""How the scores of late are distributed, and how far that is from the release's reference.

"Of late" is exponential: a score's weight fades with every score after it. Pure numbers; knows
nothing of Prometheus.
"""

import math
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from reward_model.release.calibration import Calibration

Floats = NDArray[np.float64]

MEMORY = 1000
"""Scores after which a score counts for 1/e of what it did when it was new."""

ENOUGH = 200
"""Scores before drift and correlation are told: those of fewer are mostly chance."""

_CHUNK = 256
"""Scores that are taken in together."""

_DEVIATIONS = np.arange(-4.0, 4.5, 0.5)
_UNCALIBRATED = np.array([-32, -16, -8, -4, -2, -1, 0, 1, 2, 4, 8, 16, 32], np.float64)

_PRIOR = 0.5
"""Of a score, counted in each bin beforehand, so that an empty one does not make drift infinite."""

_ROUNDING = 1e-9
"""A deviation smaller than this part of the mean is none: float32 scores are not that exact."""


class RecentMoments:
    """Means and covariances of the rows seen of late; each row has `columns` values."""

    def __init__(self, columns: int) -> None:
        self._weight = 0.0
        self._mean = np.zeros(columns)
        self._scatter = np.zeros((columns, columns))

    def add(self, rows: Floats) -> None:
        """In the order seen. Joined by Chan's formula, which loses no digits to a large mean."""
        weights, fade = _fading(len(rows))
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
        """NaN before the first row."""
        return self._mean if self._weight else np.full_like(self._mean, np.nan)

    def correlation(self, left: int, right: int) -> float:
        """Pearson's, of two columns; NaN while one of them does not vary."""
        deviations = np.sqrt(np.diag(self._scatter) / (self._weight or 1.0))
        if np.any(deviations[[left, right]] <= _ROUNDING * np.abs(self._mean[[left, right]])):
            return math.nan
        covariance = self._scatter[left, right] / self._weight
        return float(np.clip(covariance / (deviations[left] * deviations[right]), -1, 1))


class RecentShares:
    """Which part of the values seen of late lies in each bin between ascending `edges`."""

    def __init__(self, edges: Sequence[float]) -> None:
        self._edges = np.asarray(edges, np.float64)
        self._weights = np.zeros(len(self._edges) + 1)

    def add(self, values: Floats) -> None:
        weights, fade = _fading(len(values))
        bins = np.searchsorted(self._edges, values, side="right")
        self._weights *= fade
        self._weights += np.bincount(bins, weights, minlength=len(self._weights))

    def stability_index(self) -> float:
        """Population stability index against bins of equal probability: 0 where nothing moved."""
        seen = self._weights + _PRIOR
        return population_stability_index(seen / seen.sum(), np.full(len(seen), 1 / len(seen)))


class ScoreStatistics:
    """All that is kept of the scores of one release.

    Scores are taken in by the hundred, or when somebody looks: one by one they would cost a
    request of one candidate a tenth of a millisecond.

    Attributes:
        bounds: ascending upper bounds of the histogram: half deviations around the calibration's
            mean, or fixed ones where there is no calibration.
    """

    def __init__(self, calibration: Calibration | None) -> None:
        self.bounds = _bounds(calibration)
        self._counts = np.zeros(len(self.bounds) + 1, np.int64)
        self._pending: list[tuple[float, int]] = []
        self._moments = RecentMoments(2)
        self._shares = RecentShares(calibration.expected_deciles()) if calibration else None

    def add(self, answered: Iterable[tuple[float, int]]) -> None:
        """Raw scores in the order they were given, each with the tokens of its text."""
        self._pending.extend(answered)
        if len(self._pending) >= _CHUNK:
            self._take_in()

    @property
    def counts(self) -> NDArray[np.int64]:
        """Scores up to each bound and over the one before; the last is of those over all."""
        self._take_in()
        return self._counts

    @property
    def mean(self) -> float:
        """Of raw scores of late; NaN before the first."""
        self._take_in()
        return float(self._moments.means[0])

    @property
    def length_correlation(self) -> float:
        """Of raw score and tokens; NaN while too little is known to say."""
        return self._moments.correlation(0, 1) if self._enough else math.nan

    @property
    def drift(self) -> float:
        """Stability index against the calibration; NaN while too little is known to say."""
        return self._shares.stability_index() if self._shares and self._enough else math.nan

    def _take_in(self) -> None:
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
        return int(self.counts.sum()) >= ENOUGH


def population_stability_index(seen: Floats, expected: Floats) -> float:
    """Sum of (seen - expected) * ln(seen / expected), over shares that are all positive."""
    return float(np.sum((seen - expected) * np.log(seen / expected)))


def _bounds(calibration: Calibration | None) -> Floats:
    if calibration is None:
        return _UNCALIBRATED
    return calibration.mean + calibration.std * _DEVIATIONS


def _fading(count: int) -> tuple[Floats, float]:
    """Weights of `count` new values, oldest first, and what is left of all weights before."""
    return np.exp(-np.arange(count - 1, -1, -1) / MEMORY), math.exp(-count / MEMORY)
