import json
from argparse import ArgumentParser
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from benchmarks.harness.machine import public
from benchmarks.harness.page import Page, add_output_options


def _page() -> Page:
    page = Page("name", "Title", facts={"rate": 1.5})
    page.table(["what", "rate"], [["a", 1.23456]])
    page.figure = Figure()
    return page


def _write(*arguments: str) -> None:
    parser = ArgumentParser()
    add_output_options(parser)
    _page().write(parser.parse_args(arguments))


def test_a_page_has_its_table_its_plot_and_what_it_was_run_on(tmp_path: Path) -> None:
    _write("--page", str(tmp_path / "new" / "page.md"))
    text = (tmp_path / "new" / "page.md").read_text()
    assert text.startswith("# Title\n\n| what | rate |\n| --- | --- |\n| a | 1.23 |\n")
    assert "![Title](page.svg)" in text
    assert (tmp_path / "new" / "page.svg").exists()
    assert "cores" in text
    assert "torch" in text


def test_figures_go_where_they_are_asked_for(tmp_path: Path) -> None:
    _write("--out", str(tmp_path / "figures.json"))
    assert json.loads((tmp_path / "figures.json").read_text())["facts"] == {"rate": 1.5}
    assert [file.name for file in tmp_path.iterdir()] == ["figures.json"]


def test_write_dates_both_and_puts_them_under_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.harness.page.RESULTS", tmp_path)
    _write("--write")
    assert len(list(tmp_path.glob("????-??-??-name.*"))) == 3


def test_a_command_tells_nothing_about_where_things_lie() -> None:
    given = ["--data", "/home/me/data/mbpp", "--model=/tmp/x/release", "../shared/data", "--url"]
    kept = ["--data", "mbpp", "--model=release", "../shared/data", "--url"]
    assert [public(argument) for argument in given] == kept
