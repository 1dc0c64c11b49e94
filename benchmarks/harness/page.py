"""A result page: what was found, with the date, the machine and the command that found it."""

import argparse
import datetime
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from matplotlib.figure import Figure

from benchmarks.harness.machine import command, hardware, versions

Cell = str | int | float
RESULTS = Path(__file__).parents[1] / "results"


@dataclass
class Page:
    """Collects paragraphs and tables; prints each as it comes, and writes them all at the end.

    Attributes:
        name: makes the file name of a dated page.
        facts: the figures, for `--out`; anything JSON takes.
        figure: a plot, written beside the page.
        load: runnable processes before the run, because a busy machine makes poor figures.
    """

    name: str
    title: str
    parts: list[str] = field(default_factory=list)
    facts: dict[str, object] = field(default_factory=dict)
    figure: Figure | None = None
    load: float = field(default_factory=lambda: os.getloadavg()[0])

    def say(self, text: str) -> None:
        print(text + "\n", flush=True)
        self.parts.append(text)

    def table(self, head: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
        lines = [head, ["---"] * len(head), *([_show(cell) for cell in row] for row in rows)]
        self.say("\n".join("| " + " | ".join(line) + " |" for line in lines))

    def write(self, options: argparse.Namespace) -> None:
        """Write what `add_output_options` lets a user ask for; nothing when nothing was asked."""
        dated = RESULTS / f"{_today()}-{self.name}.md" if options.write else None
        page: Path | None = options.page or dated
        facts: Path | None = options.out or (dated and dated.with_suffix(".json"))
        if page:
            _write(page, self._text(page))
        if facts:
            _write(facts, json.dumps(self._record(), indent=1) + "\n")

    def _text(self, page: Path) -> str:
        parts = [f"# {self.title}", *self.parts]
        if self.figure:
            plot = page.with_suffix(".svg")
            plot.parent.mkdir(parents=True, exist_ok=True)
            self.figure.savefig(plot, metadata={"Date": None})
            parts.append(f"![{self.title}]({plot.name})")
        return "\n\n".join([*parts, self._circumstances()]) + "\n"

    def _circumstances(self) -> str:
        packages = ", ".join(f"{name} {version}" for name, version in versions().items())
        return (
            f"{_today()}: `{command()}` on {hardware()}; "
            f"load average {self.load:.1f} before the run; {packages}."
        )

    def _record(self) -> dict[str, object]:
        return {
            "title": self.title,
            "date": _today(),
            "command": command(),
            "hardware": hardware(),
            "load_before": self.load,
            "versions": versions(),
            "facts": self.facts,
        }


def add_output_options(parser: argparse.ArgumentParser) -> None:
    """Add the options by which every benchmark writes files besides what it prints."""
    parser.add_argument(
        "--write", action="store_true", help="write page, figures and plot under results/, dated"
    )
    parser.add_argument("--page", type=Path, metavar="FILE.md", help="write the page here")
    parser.add_argument("--out", type=Path, metavar="FILE.json", help="write the figures here")


def dot_plot(xlabel: str, series: Mapping[str, Sequence[tuple[str, float]]]) -> Figure:
    """A row for each group, a mark of its own for each of up to four series of (group, value)."""
    figure = Figure(figsize=(7, 3), layout="constrained")
    axes = figure.subplots()
    groups = list(dict.fromkeys(group for points in series.values() for group, _ in points))
    for (label, points), mark in zip(series.items(), "ox^s", strict=False):
        places = [groups.index(group) for group, _ in points]
        axes.plot([value for _, value in points], places, mark, label=label)
    axes.set_yticks(range(len(groups)), groups)
    axes.set(xlabel=xlabel, ylim=(len(groups) - 0.5, -0.5))
    axes.set_xlim(left=0)
    axes.legend()
    return figure


def verdict(met: bool) -> str:
    """For a table that sets a figure beside its target."""
    return "met" if met else "**not met**"


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    print(file)


def _today() -> str:
    return datetime.date.today().isoformat()


def _show(cell: Cell) -> str:
    return f"{cell:.3g}" if isinstance(cell, float) else str(cell)
