"""A measure's result: a table of figures, in which the model stands beside its baselines."""

import math
from dataclasses import dataclass, replace
from typing import Literal, Self

from trainer.evaluation.measures.estimate import Estimate

Row = dict[str, Estimate]
"""Figures by contender, the model first: no figure stands without the baselines it must beat."""

Plot = Literal["none", "bars", "curve", "reliability"]


@dataclass(frozen=True)
class Table:
    """One measure.

    Attributes:
        what: how a figure is computed, in a sentence.
        rows: parts of the data, or settings.
        plot: how its picture is drawn.
        axis: what the rows of a curve count.
    """

    title: str
    what: str
    rows: dict[str, Row]
    plot: Plot = "none"
    axis: str = "N"

    def measured(self) -> Self:
        """The table without figures that are NaN, because there was nothing to count."""
        # JSON has no NaN, so a report must not hold one.
        rows = {
            name: {who: found for who, found in row.items() if math.isfinite(found.value)}
            for name, row in self.rows.items()
        }
        # Without the model's own figure, those of the others stand beside nothing.
        return replace(self, rows={name: row for name, row in rows.items() if "model" in row})
