"""Read rows of tables: JSON Lines, JSON arrays, Parquet and CSV, local or where fsspec reaches."""

import csv
import glob
import io
import json
import lzma
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Literal

import pyarrow
from fsspec.core import OpenFile, url_to_fs
from fsspec.implementations.local import LocalFileSystem
from pyarrow.parquet import ParquetFile

from trainer.pipeline.stage import StageError
from trainer.tables.record import Record, Unusable, without_nulls

NumberedRow = tuple[int, Record | Unusable]
"""Number of a row or line, from 1, and its columns, or the reason why it has none."""

Kind = Literal["json", "parquet", "csv"]

# Of a folder, only these files are read; a file that is named may end in anything.
SUFFIXES = (".json", ".jsonl", ".json.gz", ".jsonl.gz", ".parquet")

# Characters of one field of CSV; more is taken for a quotation mark that was never closed.
MAX_FIELD_CHARACTERS = 1 << 26

# Rows of Parquet that are decoded at a time: a file of source code may be a megabyte.
BATCH_ROWS = 256


def absolute(place: str, folder: Path) -> str:
    """A URL as it is, a path as seen from `folder`."""
    return place if "://" in place else str(folder / place)


def find_files(place: str, folder: Path) -> list[OpenFile]:
    """Files at a path, in a folder, or by a pattern such as `x/*.gz`, in the order of their paths.

    Args:
        place: relative to `folder`, or a URL that fsspec knows.

    Raises:
        StageError: there is no such file.
    """
    where = absolute(place, folder)
    files, path = url_to_fs(where)
    if files.isfile(path):
        found = [path]  # even if its name looks like a pattern
    elif files.isdir(path):
        found = [each for each in files.ls(path, detail=False) if each.endswith(SUFFIXES)]
        if not found:
            raise StageError(f"{where} has no file that ends in {', '.join(SUFFIXES)}")
    else:
        # The folder's own name may hold a bracket.
        pattern = place if where == place else str(Path(glob.escape(str(folder)), place))
        found = files.glob(url_to_fs(pattern)[1])
    there = sorted(each for each in found if files.isfile(each))
    if not there:
        raise StageError(f"no file is at {where}: give a path, or a pattern such as 'x/*.gz'")
    return [OpenFile(files, each, compression="infer") for each in there]


def read_file(
    file: OpenFile | Path,
    kind: Kind | None = None,
    choose: Callable[[list[str]], list[str]] | None = None,
) -> Iterator[NumberedRow]:
    """Yield all rows of a file; `.gz`, `.bz2` and `.xz` are decompressed on the way.

    Args:
        kind: by default Parquet for files that end in `.parquet`, CSV for those that end in `.csv`
            or `.csv.gz`, and JSON otherwise: one object a line, or one array. Columns of CSV are
            named by its first line, and all its values are texts.
        choose: the columns of a Parquet file that are wanted of those that it has, or an error.

    A line that is not JSON is an `Unusable` row, even in a file that holds nothing else. What that
    means is for the caller to decide: one file of a large corpus may be lost, a benchmark may not.

    Raises:
        StageError: it cannot be opened or decompressed, or is no Parquet where that is expected.
    """
    if isinstance(file, Path):
        file = OpenFile(LocalFileSystem(), str(file), compression="infer")
    if kind is None:
        kind = "parquet" if file.path.endswith(".parquet") else "json"
        if file.path.endswith((".csv", ".csv.gz")):
            kind = "csv"
    try:
        with file as stream:
            if kind == "parquet":
                with ParquetFile(stream) as table:
                    columns = choose(table.schema_arrow.names) if choose else None
                    batches = table.iter_batches(BATCH_ROWS, columns=columns)
                    rows = (without_nulls(row) for batch in batches for row in batch.to_pylist())
                    yield from enumerate(rows, start=1)
                return
            yield from read_csv(stream) if kind == "csv" else read_json(stream)
    except (
        OSError,
        EOFError,
        ValueError,
        RecursionError,
        csv.Error,
        zlib.error,
        lzma.LZMAError,
        pyarrow.ArrowException,
    ) as error:
        name = {"json": "JSON", "parquet": "Parquet", "csv": "CSV"}[kind]
        hint = ": save it as UTF-8" if isinstance(error, UnicodeDecodeError) else ""
        raise StageError(f"{file.path} cannot be read as {name}: {error}{hint}") from error


def read_json(stream: IO[bytes]) -> Iterator[NumberedRow]:
    """Yield the rows of JSON Lines or a JSON array."""
    # Some tools write a byte order mark before the text.
    is_array = stream.read(1024).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"[")
    stream.seek(0)
    if is_array:
        try:
            rows = json.load(stream)
        except (ValueError, RecursionError):
            # It was cut short, or is JSON Lines whose first line is an array: read line by line.
            stream.seek(0)
        else:
            for number, row in enumerate(rows, start=1):
                yield number, checked(row)
            return
    for number, line in enumerate(stream, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            yield number, Unusable("not JSON")
        else:
            yield number, checked(row)


def read_csv(stream: IO[bytes]) -> Iterator[NumberedRow]:
    """Yield the rows of a table with a line of names. A row of another length is unusable."""
    # The default limit of a field is 128 KiB, and the tests of a problem may be longer.
    csv.field_size_limit(MAX_FIELD_CHARACTERS)
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")
    try:
        # Spreadsheets of some countries part columns by semicolons, and others by tabs.
        head = text.readline()
        text.seek(0)
        rows = csv.reader(text, strict=True, delimiter=max(",;\t", key=head.count))
        names = next(rows, [])
        for number, row in enumerate(rows, start=1):
            if len(row) == len(names):
                yield number, checked(dict(zip(names, row, strict=True)))
            elif row:
                yield number, Unusable("another number of columns than the first line")
    finally:
        text.detach()  # the caller closes its stream


def checked(value: object) -> Record | Unusable:
    """A row of JSON, or the reason against it."""
    if isinstance(value, str):
        return Unusable("not an object but text: where it is JSON that was written twice, parse it")
    if not isinstance(value, dict):
        return Unusable("not an object")
    try:
        # JSON may escape half of a character, which no tokenizer takes and no file can hold.
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return Unusable("a text with half of a character (an escape such as \\ud83d): mend it")
    return value
