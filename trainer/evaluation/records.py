"""Rows of other people's files, each checked against its shape on the way in."""

from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from trainer.pipeline.stage import StageError
from trainer.tables.files import find_files, read_file
from trainer.tables.record import Unusable

Shape = TypeVar("Shape")


def files_of(folder: Path, patterns: Iterable[str]) -> list[Path]:
    """Files that patterns name, relative to `folder`, sorted for each pattern.

    Raises:
        StageError: a pattern names no file.
    """
    return [Path(file.path) for pattern in patterns for file in find_files(pattern, folder)]


def read_records(file: Path, shape: type[Shape]) -> list[Shape]:
    """Rows of one file as `shape`; columns that it does not name are ignored.

    Raises:
        StageError: the file cannot be read, or a row has another shape. A benchmark is read whole
            or not at all, because a figure over a part of it compares with nothing.
    """
    adapter = TypeAdapter(shape)
    found = []
    for number, row in read_file(file):
        where = f"{file}, row {number}"
        if isinstance(row, Unusable):
            raise StageError(f"{where}: {row}")
        try:
            found.append(adapter.validate_python(row))
        except ValidationError as error:
            # Columns are named, and never what is in them.
            wrong = sorted({".".join(map(str, e["loc"])) + " " + e["type"] for e in error.errors()})
            seen = ", ".join(sorted(row))
            raise StageError(f"{where}: {'; '.join(wrong[:5])}; it has: {seen}") from None
    return found


def source_name(file: Path) -> str:
    """A file's name without its suffixes."""
    return file.name.split(".")[0]
