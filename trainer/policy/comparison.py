"""A figure of several policies over the same problems, each beside the first one's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from trainer.evaluation.measures.estimate import Estimate, Resampling, estimate, mean, share


@dataclass(frozen=True)
class ComparedFigure:
    """A policy's figure.

    Attributes:
        gain: its difference to the start's, problem by problem; None for the start itself.
    """

    value: Estimate
    gain: Estimate | None


@dataclass(frozen=True)
class ArmComparison:
    """One figure of all policies.

    Attributes:
        what: how it is computed, in a sentence.
        rows: for each k or N, the policies' figures by name, the start first.
    """

    title: str
    what: str
    rows: dict[str, dict[str, ComparedFigure]]


def compare(
    groups: Sequence[str], values: Mapping[str, Sequence[float]], resampling: Resampling
) -> dict[str, ComparedFigure]:
    """Means over problems with 95 % intervals, and differences to the first policy's.

    The difference has an interval of its own, because it is much narrower than those of the two
    means: a hard problem is hard for both policies.

    Args:
        groups: the group of each problem, which is resampled as a whole.
        values: for each policy, a value between 0 and 1 for each problem, the start first.
    """
    start = np.asarray(next(iter(values.values())), dtype=float)
    found: dict[str, ComparedFigure] = {}
    for name, own in values.items():
        gain = None
        if found:
            gain = mean_difference(groups, np.asarray(own, dtype=float) - start, resampling)
        found[name] = ComparedFigure(share(groups, own, resampling), gain)
    return found


def mean_difference(
    groups: Sequence[str], differences: Sequence[float] | np.ndarray, resampling: Resampling
) -> Estimate:
    """The mean of paired differences between -1 and 1."""
    values = np.asarray(differences, dtype=float)
    columns = np.stack([values, np.ones(len(values))], axis=1)
    return estimate(groups, columns, mean, resampling, bounds=(-1.0, 1.0))
