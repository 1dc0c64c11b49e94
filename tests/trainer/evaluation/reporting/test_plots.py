"""Pictures are SVG and the same bytes for the same table, so that a rerun changes no hash."""

from dataclasses import replace

import pytest

from tests.trainer.evaluation.reporting.reports import KINDS, table
from trainer.evaluation.measures.table import Plot, Table
from trainer.evaluation.reporting import plots

DRAWN = table("t", ("1", "2", "4"), model=0.8, random=0.5, confidence=0.7)


@pytest.mark.parametrize("plot", ["bars", "curve", "reliability", "none"])
def test_every_picture_is_drawn_alike_each_time(plot: Plot) -> None:
    first = plots.svg(replace(DRAWN, plot=plot))
    assert first == plots.svg(replace(DRAWN, plot=plot))
    assert b"<svg" in first


def test_a_baseline_may_be_missing_from_a_row() -> None:
    rows = {"overall": KINDS.rows["overall"], "mutant": {"model": KINDS.rows["mutant"]["model"]}}
    assert b"<svg" in plots.svg(Table("t", "", rows, "bars"))


def test_names_are_shown_without_underscores() -> None:
    assert plots.label("length_only") == "length only"
