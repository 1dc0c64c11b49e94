"""Rows of other people's files: JSON, JSONL or Parquet, gzipped or not, checked on the way in."""

import gzip
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from trainer.stage import StageError

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
    return [
        _checked(adapter, row, f"{file}, row {number}")
        for number, row in enumerate(_rows(file), start=1)
    ]


def source_name(file: Path) -> str:
    """A file's name without what says how it is written."""
    return file.name.split(".")[0]


def _rows(file: Path) -> Iterator[Any]:
    try:
        if file.suffix == ".parquet":
            return iter(_parquet(file))
        raw = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
        text = raw.decode("utf-8").lstrip("\ufeff").strip()
        if text.startswith("["):
            return iter(json.loads(text))
        return iter([json.loads(line) for line in text.split("\n") if line.strip()])
    except (ValueError, OSError, EOFError) as error:
        raise StageError(f"{file} is neither JSON, JSONL nor Parquet: {error}") from error


def _parquet(file: Path) -> list[dict[str, Any]]:
    from pyarrow import parquet

    rows: list[dict[str, Any]] = parquet.read_table(file).to_pylist()
    return rows


def _checked(adapter: TypeAdapter[R], row: Any, where: str) -> R:
    """Says which columns are missing and which are there, never what is in them."""
    try:
        return adapter.validate_python(row)
    except ValidationError as error:
        wrong = sorted({".".join(map(str, e["loc"])) + " " + e["type"] for e in error.errors()})
        seen = ", ".join(sorted(map(str, row))) if isinstance(row, dict) else type(row).__name__
        raise StageError(f"{where}: {'; '.join(wrong[:5])}; it has: {seen}") from None
