"""Temperature scaling (arXiv 1706.04599) of score differences."""

from collections.abc import Sequence

import numpy as np
from scipy.optimize import minimize_scalar


def fit_temperature(margins: Sequence[float]) -> float | None:
    """T that minimises the mean of -log sigmoid(margin / T) over pairs, chosen less rejected score.

    None where there is no such T: without a single pair ranked wrong, ever smaller ones are ever
    better; where margins are not positive on average, ever larger ones are.
    """
    margins_P = np.asarray(margins, dtype=np.float64)
    if not len(margins_P) or margins_P.min() >= 0 or margins_P.mean() <= 0:
        return None
    scale = float(np.abs(margins_P).mean())
    # The loss is convex in 1/T, which the logarithm keeps unimodal and free of units.
    found = minimize_scalar(
        lambda log_t: negative_log_likelihood(margins_P, scale * float(np.exp(log_t))),
        bracket=(-2.0, 2.0),
    )
    return scale * float(np.exp(found.x))


def negative_log_likelihood(margins: Sequence[float] | np.ndarray, temperature: float) -> float:
    """Mean over pairs, in nats; a coin has log 2."""
    return float(np.logaddexp(0.0, -np.asarray(margins) / temperature).mean())
