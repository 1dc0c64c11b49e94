"""Statistics that more than one benchmark needs. Pure."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Ratio:
    """Median over turns, with the least and the most favourable turn."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.2f} [{self.low:.2f}, {self.high:.2f}]"


@dataclass(frozen=True)
class Fit:
    """`measured = coefficients . terms`, by least squares of residuals relative to `measured`.

    `worst` is the largest of them.
    """

    coefficients: tuple[float, ...]
    r_squared: float
    worst: float

    def at(self, terms: Sequence[float]) -> float:
        return sum(c * term for c, term in zip(self.coefficients, terms, strict=True))


def ratio(over: Sequence[float], under: Sequence[float]) -> Ratio:
    """Turn by turn, so that a machine that slows down between turns slows both sides."""
    turns = [left / right for left, right in zip(over, under, strict=True)]
    return Ratio(statistics.median(turns), min(turns), max(turns))


def percentile(values: Sequence[float], share: float) -> float:
    """`share` in 0..1, linear between neighbours."""
    return float(np.quantile(np.asarray(values, dtype=float), share))


def fit(terms: Sequence[Sequence[float]], measured: Sequence[float]) -> Fit:
    """`terms` holds a row for each measurement; a constant is a term of its own, 1.0.

    Relative, because a few large measurements would otherwise decide everything.
    """
    wanted = np.asarray(measured, dtype=float)
    design = np.asarray(terms, dtype=float) / wanted[:, None]
    scale = np.abs(design).max(axis=0)  # tokens and attended pairs differ by orders of magnitude
    solved, *_ = np.linalg.lstsq(design / scale, np.ones_like(wanted), rcond=None)
    coefficients = solved / scale
    relative = 1 - design @ coefficients
    spread = float(((wanted - wanted.mean()) ** 2).sum())
    return Fit(
        tuple(float(value) for value in coefficients),
        1 - float(((relative * wanted) ** 2).sum()) / spread,
        float(np.abs(relative).max()),
    )


def slope(points: Sequence[tuple[float, float]]) -> float:
    """The slope of the least-squares line through (x, y)."""
    xs, ys = np.asarray(points, dtype=float).T
    return float(np.polyfit(xs, ys, 1)[0])
