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
    """

    title: str
    what: str
    rows: dict[str, Row]
    plot: Plot = "none"

    def measured(self) -> Self:
        """The table without rows whose figure is NaN, because there was nothing to count."""
        # JSON has no NaN, so a report must not hold one.
        rows = {name: row for name, row in self.rows.items() if math.isfinite(row["model"].value)}
        return replace(self, rows=rows)
