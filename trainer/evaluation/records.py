"""Rows of other people's files, each checked against its shape on the way in."""

from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from trainer.pipeline.stage import StageError
from trainer.tables.files import read_file
from trainer.tables.record import Record, Unusable

R = TypeVar("R")


def files_of(folder: Path, patterns: Iterable[str]) -> list[Path]:
    """Files that patterns name, each seen from `folder`, sorted; `*` is for their names alone.

    Raises:
        StageError: a pattern names none.
    """
    found: list[Path] = []
    for pattern in patterns:
        path = folder / pattern
        named = sorted(path.parent.glob(path.name))
        if not named:
            raise StageError(f"no file is named {path}: put it there, or drop the task")
        found += named
    return found


def read_records(file: Path, shape: type[R]) -> list[R]:
    """Rows of one file as `shape`; columns that it does not name are passed over.

    Raises:
        StageError: the file is not what its name says, or a row is of another shape.
    """
    adapter = TypeAdapter(shape)
    return [_checked(adapter, row, f"{file}, row {number}") for number, row in read_file(file)]


def source_name(file: Path) -> str:
    """A file's name without what says how it is written."""
    return file.name.split(".")[0]


def _checked(adapter: TypeAdapter[R], row: Record | Unusable, where: str) -> R:
    """Says which columns are missing and which are there, never what is in them."""
    if isinstance(row, Unusable):
        raise StageError(f"{where}: {row}")
    try:
        return adapter.validate_python(row)
    except ValidationError as error:
        wrong = sorted({".".join(map(str, e["loc"])) + " " + e["type"] for e in error.errors()})
        seen = ", ".join(sorted(row))
        raise StageError(f"{where}: {'; '.join(wrong[:5])}; it has: {seen}") from None
