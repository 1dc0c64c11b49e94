import json
from pathlib import Path

import pytest

from trainer.evaluation.measures.estimate import Estimate
from trainer.evaluation.reporting import page, plots
from trainer.evaluation.reporting.report import VERSION, Report, Table, TaskReport, read, write
from trainer.pipeline.stage import StageError


def estimate(value: float) -> Estimate:
    return Estimate(value, value - 0.1, value + 0.1, 10)


def table(title: str, rows: tuple[str, ...], **contenders: float) -> Table:
    row = {name: estimate(value) for name, value in contenders.items()}
    return Table(title, "share of <pairs>", dict.fromkeys(rows, row))


KINDS = table("by kind", ("overall", "mutant"), model=0.8, length_only=0.6, random=0.5)


def report(*tables: Table) -> Report:
    task = TaskReport("pairs & more", "pairs", "pairs", 7, ["a", "b"], [*tables], {"too long": 3})
    return Report(VERSION, "finetune", "model 1", [task], ["a note with <b>"])


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write(report(KINDS), tmp_path)
    assert read(tmp_path) == report(KINDS)
    assert read(tmp_path).tasks[0].table("by kind") == KINDS


def test_the_first_version_is_read_as_well(tmp_path: Path) -> None:
    figures = {"overall": {"accuracy": 0.8, "low": 0.7, "high": 0.9, "pairs": 12}}
    first = {
        "what": "pairs",
        "packages": ["a"],
        "prompts": 3,
        "model": figures,
        "length_only": figures,
        "random": figures,
    }
    (tmp_path / "report.json").write_text(json.dumps(first))
    found = read(tmp_path)
    assert (found.prompts, found.packages) == (3, ["a"])
    assert found.model["overall"].pairs == 12
    assert found.random["overall"].accuracy == 0.8


def test_a_report_without_pairs_has_no_headline() -> None:
    with pytest.raises(StageError, match="no task on pairs"):
        _ = Report(VERSION, "finetune", "model 1", []).headline


def test_a_row_that_counts_nothing_is_none() -> None:
    nothing = Table("t", "", {"a": {"model": estimate(float("nan"))}, "b": {"model": estimate(1)}})
    assert list(nothing.measured().rows) == ["b"]


@pytest.mark.parametrize("plot", ["bars", "curve", "reliability"])
def test_every_picture_is_drawn_alike_each_time(plot: str) -> None:
    drawn = table("t", ("1", "2", "4"), model=0.8, random=0.5, confidence=0.7)
    first = plots.svg(Table(drawn.title, drawn.what, drawn.rows, plot))  # type: ignore[arg-type]
    assert first == plots.svg(Table(drawn.title, drawn.what, drawn.rows, plot))  # type: ignore[arg-type]
    assert b"<svg" in first


def test_the_page_needs_nothing_else_and_escapes_what_it_shows() -> None:
    bars = Table(KINDS.title, KINDS.what, KINDS.rows, "bars")
    text = page.html(report(bars))
    assert "<script" not in text
    assert "http" not in text
    assert "data:image/svg+xml;base64," in text
    assert 'name="viewport"' in text
    assert "a note with &lt;b&gt;" in text
    assert "pairs &amp; more" in text
    assert "0.800" in text
    assert "0.500 to 0.700" in text
    assert "too long: 3" in text
