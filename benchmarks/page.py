"""A dated result page: what was run, on what, and the table it gave."""

import datetime
import json
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import torch

Cell = str | int | float
RESULTS = Path(__file__).parent / "results"


@dataclass
class Page:
    """Collects paragraphs and tables; prints each as it comes, and writes them all at the end."""

    name: str
    title: str
    parts: list[str] = field(default_factory=list)
    facts: dict[str, object] = field(default_factory=dict)

    def say(self, text: str) -> None:
        print(text + "\n", flush=True)
        self.parts.append(text)

    def table(self, head: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
        lines = [head, ["---"] * len(head), *([_show(cell) for cell in row] for row in rows)]
        self.say("\n".join("| " + " | ".join(line) + " |" for line in lines))

    def write(self) -> Path:
        """`results/DATE-NAME.md`, and the facts beside it as JSON."""
        stem = RESULTS / f"{datetime.date.today().isoformat()}-{self.name}"
        RESULTS.mkdir(exist_ok=True)
        text = "\n\n".join([f"# {self.title}", *self.parts, _circumstances()])
        page = stem.with_suffix(".md")
        page.write_text(text + "\n")
        if self.facts:
            stem.with_suffix(".json").write_text(json.dumps(self.facts, indent=1) + "\n")
        return page

    def figure_path(self) -> Path:
        RESULTS.mkdir(exist_ok=True)
        return RESULTS / f"{datetime.date.today().isoformat()}-{self.name}.svg"


def _circumstances() -> str:
    module = getattr(sys.modules["__main__"], "__spec__", None)
    command = " ".join(["python -m", module.name if module else "?", *_public(sys.argv[1:])])
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers"))
    return (
        f"Run as `{command}` on {_processor()}, {os.cpu_count()} cores, "
        f"{torch.get_num_threads()} threads; Python {platform.python_version()}, {packages}."
    )


def _public(arguments: list[str]) -> list[str]:
    """Paths by their last part: where data lies on one machine is nobody's business."""
    return [Path(argument).name if "/" in argument else argument for argument in arguments]


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _show(cell: Cell) -> str:
    return f"{cell:.3g}" if isinstance(cell, float) else str(cell)
