"""Parquet files, read in batches and only those columns that are wanted."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import fsspec
from pyarrow import ArrowInvalid
from pyarrow.parquet import ParquetFile

from trainer.corpus.sources.places import open_files
from trainer.corpus.sources.source import Columns, SourceFile
from trainer.pipeline.stage import StageError

_ROWS = 256  # a file of source code may be a megabyte


@dataclass(frozen=True)
class ParquetSource:
    """Rows of source files.

    Attributes:
        path: a file or a pattern, relative to the work folder, or a URL that fsspec knows.
        license: of rows that state none; without it they are of unknown license.
    """

    path: str
    columns: Columns = field(default_factory=Columns)
    license: str = ""
    kind: Literal["parquet"] = "parquet"

    def files(self, work: Path, counts: Counter[str]) -> Iterator[SourceFile]:
        for place in open_files(self.path, work, compression=None):
            for row in self._rows(place):
                if file := self.columns.file(row, self.license, counts):
                    yield file

    def _rows(self, place: fsspec.core.OpenFile) -> Iterator[dict[str, object]]:
        try:
            with place as stream, ParquetFile(stream) as table:
                present = table.schema_arrow.names
                self.columns.check(present, place.path)
                wanted = [name for name in present if name in self.columns.names]
                for batch in table.iter_batches(_ROWS, columns=wanted):
                    yield from batch.to_pylist()
        except ArrowInvalid as error:
            raise StageError(f"{place.path} cannot be read as Parquet: {error}") from error
