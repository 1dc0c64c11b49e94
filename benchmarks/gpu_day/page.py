"""The page of a day on a GPU, written again after every row."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.gpu_day.day import Outcome

PAGE, FIGURES = "page.md", "figures.json"


@dataclass(frozen=True)
class Circumstances:
    """The machine, the versions and the command of a run."""

    date: str
    command: str
    hardware: str
    versions: dict[str, str]
    load: float


def write(folder: Path, circumstances: Circumstances, outcomes: Sequence[Outcome]) -> None:
    """Write page and figures; a reader never finds half of a file."""
    facts = {
        "date": circumstances.date,
        "command": circumstances.command,
        "hardware": circumstances.hardware,
        "versions": circumstances.versions,
        "load_before": circumstances.load,
        "parts": [outcome.record() for outcome in outcomes],
    }
    _replace(folder / FIGURES, json.dumps(facts, indent=1) + "\n")
    _replace(folder / PAGE, render(circumstances, outcomes))


def render(circumstances: Circumstances, outcomes: Sequence[Outcome]) -> str:
    """Markdown: what the machine was, how each part ended, and a table for each part."""
    packages = ", ".join(f"{name} {version}" for name, version in circumstances.versions.items())
    summary = [["part", "ended", "seconds"]]
    summary += [[each.name, each.ended, f"{each.seconds:.0f}"] for each in outcomes]
    pieces = ["# A day on a GPU", _table(summary)]
    for outcome in outcomes:
        if outcome.rows:
            columns = list(dict.fromkeys(column for row in outcome.rows for column in row))
            rows = [[_show(row.get(column, "")) for column in columns] for row in outcome.rows]
            pieces += [f"## {outcome.name}", outcome.says, _table([columns, *rows])]
    pieces.append(
        f"{circumstances.date}: `{circumstances.command}` on {circumstances.hardware}; load "
        f"average {circumstances.load:.1f} before the run; {packages}."
    )
    return "\n\n".join(pieces) + "\n"


def _table(lines: list[list[str]]) -> str:
    head, *rows = lines
    body = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in body)


def _show(cell: str | int | float) -> str:
    if isinstance(cell, float):
        return f"{cell:,.0f}" if abs(cell) >= 1000 else f"{cell:.3g}"
    return str(cell)


def _replace(file: Path, text: str) -> None:
    half = file.with_suffix(".half")
    half.write_text(text, "utf-8")
    half.replace(file)
