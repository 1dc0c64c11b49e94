"""Where source files come from, one kind of place a module."""

from trainer.corpus.sources.files import JsonLinesSource, ParquetSource
from trainer.corpus.sources.folder import FolderSource
from trainer.corpus.sources.hub import DatasetSource

AnySource = FolderSource | JsonLinesSource | ParquetSource | DatasetSource

__all__ = ["AnySource", "DatasetSource", "FolderSource", "JsonLinesSource", "ParquetSource"]
