"""Rows of source files in JSON Lines or Parquet."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from trainer.corpus.sources.source import Columns, SourceFile
from trainer.tables.files import find_files, read_file
from trainer.tables.record import Record, Unusable


@dataclass(frozen=True)
class JsonLinesSource:
    """JSON Lines: one object a line, plain or compressed.

    Attributes:
        path: a file or a pattern, relative to the work folder, or a URL that fsspec knows;
            `.gz`, `.bz2` and `.xz` are decompressed on the way.
        license: license of rows that state none; without it their license is unknown.
    """

    path: str
    columns: Columns = field(default_factory=Columns)
    license: str = ""
    kind: Literal["json_lines"] = "json_lines"

    def files(self, work: Path, counts: Counter[str]) -> Iterator[SourceFile]:
        def objects() -> Iterator[Record]:
            for file in find_files(self.path, work):
                for _, row in read_file(file, "json"):
                    if isinstance(row, Unusable):
                        counts["not a JSON object"] += 1
                    else:
                        yield row

        return self.columns.files(objects(), self.path, self.license, counts)


@dataclass(frozen=True)
class ParquetSource:
    """Parquet; only the wanted columns are read.

    Attributes:
        path: a file or a pattern, relative to the work folder, or a URL that fsspec knows.
        license: license of rows that state none; without it their license is unknown.
    """

    path: str
    columns: Columns = field(default_factory=Columns)
    license: str = ""
    kind: Literal["parquet"] = "parquet"

    def files(self, work: Path, counts: Counter[str]) -> Iterator[SourceFile]:
        def wanted(present: list[str]) -> list[str]:
            self.columns.check(present, self.path)
            return [name for name in present if name in self.columns.names]

        for table in find_files(self.path, work):
            for _, row in read_file(table, "parquet", wanted):
                assert not isinstance(row, Unusable)  # Parquet has a schema
                if file := self.columns.file(row, self.license, counts):
                    yield file
