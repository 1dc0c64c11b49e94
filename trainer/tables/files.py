"""Rows of other people's files, each with where it stands: JSON, JSON Lines or Parquet."""

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pyarrow
from pyarrow import parquet

from trainer.pipeline.stage import StageError
from trainer.tables.record import Record, Unusable

Found = tuple[int, Record | Unusable]
"""Number of a row or line, from 1, and what is there."""


def read_file(file: Path) -> Iterator[Found]:
    """JSON Lines, a JSON array, either with gzip, or Parquet."""
    try:
        yield from _parquet(file) if file.suffix == ".parquet" else _json(file)
    except (OSError, EOFError, UnicodeDecodeError, zlib.error, pyarrow.ArrowException) as error:
        raise StageError(f"{file} cannot be read: {error}") from error


def _parquet(file: Path) -> Iterator[Found]:
    with parquet.ParquetFile(file) as opened:
        batches = opened.iter_batches(batch_size=1024)
        rows = (row for batch in batches for row in batch.to_pylist())
        yield from enumerate(rows, start=1)


def _json(file: Path) -> Iterator[Found]:
    with _opened(file) as stream:
        is_array = stream.read(1024).lstrip("\ufeff \t\r\n").startswith("[")
        stream.seek(0)
        if not is_array:
            yield from _lines(file, stream)
            return
        try:
            rows = json.load(stream)
        except json.JSONDecodeError as error:
            raise StageError(f"{file} is not a JSON array: {error}") from error
        yield from ((number, _record(row)) for number, row in enumerate(rows, start=1))


def _opened(file: Path) -> IO[str]:
    """`utf-8-sig`: some tools write a mark before the text."""
    if file.suffix == ".gz":
        return gzip.open(file, "rt", encoding="utf-8-sig")
    return file.open(encoding="utf-8-sig")


def _lines(file: Path, stream: IO[str]) -> Iterator[Found]:
    first = True
    for number, line in enumerate(stream, start=1):
        if not line.strip():
            continue
        try:
            yield number, _record(json.loads(line))
        except json.JSONDecodeError as error:
            if first:
                raise StageError(
                    f"{file}: expected JSON Lines, a JSON array or Parquet, and line {number} is "
                    "no JSON"
                ) from error
            yield number, Unusable("not JSON")
        first = False


def _record(row: object) -> Record | Unusable:
    return row if isinstance(row, dict) else Unusable("not an object")
