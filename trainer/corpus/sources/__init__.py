"""Where source files come from, one kind of place a module."""

from trainer.corpus.sources.folder import FolderSource
from trainer.corpus.sources.hub import DatasetSource
from trainer.corpus.sources.json_lines import JsonLinesSource
from trainer.corpus.sources.parquet import ParquetSource

AnySource = FolderSource | JsonLinesSource | ParquetSource | DatasetSource

__all__ = ["AnySource", "DatasetSource", "FolderSource", "JsonLinesSource", "ParquetSource"]
