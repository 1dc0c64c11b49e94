from dataclasses import replace

from tests.trainer.evaluation.reporting.reports import KINDS, estimate, report
from trainer.evaluation.measures.table import Table
from trainer.evaluation.reporting import page


def test_the_page_needs_nothing_else_and_escapes_what_it_shows() -> None:
    text = page.html(report(replace(KINDS, plot="bars")))
    assert "<script" not in text
    assert "http" not in text
    assert "data:image/svg+xml;base64," in text
    assert 'name="viewport"' in text
    assert "a note with &lt;b&gt;" in text
    assert "pairs &amp; more" in text
    assert "0.800" in text
    assert "0.500 to 0.700" in text
    assert "too long: 3" in text


def test_columns_are_the_contenders_of_all_rows_the_model_first() -> None:
    rows = {"1": {"model": estimate(0.5)}, "2": {"model": estimate(0.5), "oracle": estimate(1.0)}}
    assert page.contenders(Table("t", "", rows)) == ["model", "oracle"]
