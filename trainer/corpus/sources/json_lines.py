"""JSON Lines: one object a line, plain or compressed."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from trainer.corpus.sources.places import open_files
from trainer.corpus.sources.source import Columns, SourceFile


@dataclass(frozen=True)
class JsonLinesSource:
    """Rows of source files.

    Attributes:
        path: a file or a pattern, relative to the work folder, or a URL that fsspec knows;
            `.gz`, `.bz2` and `.xz` are unpacked on the way.
        license: of rows that state none; without it they are of unknown license.
    """

    path: str
    columns: Columns = field(default_factory=Columns)
    license: str = ""
    kind: Literal["json_lines"] = "json_lines"

    def files(self, work: Path, counts: Counter[str]) -> Iterator[SourceFile]:
        rows = read_objects(self.path, work, counts)
        return self.columns.files(rows, self.path, self.license, counts)


def read_objects(place: str, work: Path, counts: Counter[str]) -> Iterator[dict[str, object]]:
    """The objects of all files there; blank lines are nothing, other lines are counted."""
    for file in open_files(place, work, compression="infer"):
        with file as stream:
            for line in stream:
                row = _parsed(line)
                if isinstance(row, dict):
                    yield row
                elif line.strip():
                    counts["not a JSON object"] += 1


def _parsed(line: bytes) -> object:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None
