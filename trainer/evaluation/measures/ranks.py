"""Ranks of items that count several times, as a bootstrap draws them; ties get their mean rank."""

import numpy as np
from numpy.typing import NDArray

from trainer.evaluation.measures.estimate import Sums, Weights


class Ranking:
    """The ranks of values, for any weights: sorted once, however often they are resampled."""

    def __init__(self, values: NDArray[np.float64]) -> None:
        distinct, self._tied = np.unique(values, return_inverse=True)
        self._order = np.argsort(self._tied, kind="stable")
        # Where each run of equal values begins in this order.
        self._starts = np.searchsorted(self._tied[self._order], np.arange(len(distinct)))

    def ranks(self, weights: Weights) -> Sums:
        """Mean rank of each item's copies, from 1, among all copies of all items.

        With weights of 1 that is `scipy.stats.rankdata`. An item of weight 0 gets a rank that
        counts nowhere.

        Args:
            weights: [..., items].
        """
        tied = np.add.reduceat(weights[..., self._order], self._starts, axis=-1)
        # Copies up to the end of a run, less half of the run: the middle of its ranks.
        middle: Sums = np.cumsum(tied, axis=-1) - (tied - 1) / 2
        return middle[..., self._tied]
