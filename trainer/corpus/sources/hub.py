"""Hugging Face datasets, streamed from the hub, a local copy, or files in a known format."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from trainer.corpus.sources.source import Columns, SourceFile
from trainer.tables.files import absolute
from trainer.tables.streamed import streamed


@dataclass(frozen=True)
class DatasetSource:
    """A dataset with a source file in each row.

    Attributes:
        name: a dataset on the hub, or the format ("json", "parquet", "csv") of `data_files`.
        subset: the dataset's configuration; The Stack has `data_dir` instead ("data/go").
        revision: a commit, so that a later run reads the same.
        data_files: paths or patterns, relative to the work folder, or URLs.
        max_rows: number of rows to read; None reads all.
        license: license of rows that state none; without it their license is unknown.
    """

    name: str
    subset: str | None = None
    data_dir: str | None = None
    split: str = "train"
    revision: str | None = None
    data_files: tuple[str, ...] = ()
    max_rows: int | None = None
    columns: Columns = field(default_factory=Columns)
    license: str = ""
    kind: Literal["dataset"] = "dataset"

    def files(self, work: Path, counts: Counter[str]) -> Iterator[SourceFile]:
        files = [absolute(place, work) for place in self.data_files] or None
        rows = streamed(
            self.name,
            self.subset,
            split=self.split,
            revision=self.revision,
            data_dir=self.data_dir,
            data_files=files,
            max_rows=self.max_rows,
        )
        return self.columns.files(rows, self.name, self.license, counts)
