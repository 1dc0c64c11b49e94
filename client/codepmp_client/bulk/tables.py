"""Tables of rows in files: JSON Lines, also compressed by gzip, and Parquet.

A file's name decides between the two: `.parquet` is Parquet, everything else is JSON Lines, and `-`
is standard input or output. Rows come in chunks of bounded size, so that memory does not depend on
a file's length. What a row holds besides its new columns is written back as it was read: a line of
JSON byte by byte, a batch of Parquet with its types.
"""

import os
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from pyarrow import RecordBatch

Record = dict[str, object]
"""Columns of one row, with values as JSON has them."""

ColumnType = Literal["number", "integer", "text", "numbers", "integers", "texts"]
"""What a new column holds in Parquet, null besides: float64, int64, string, and lists of them."""

STANDARD_STREAM = "-"

CHUNK_ROWS = 1024
CHUNK_BYTES = 4 * 1024 * 1024
"""A chunk ends with the row that reaches either of them."""

_OTHER_FORMATS = (".csv", ".tsv", ".zst", ".bz2", ".xz", ".zip", ".arrow", ".feather", ".xlsx")


class TableError(Exception):
    """A file that cannot be read or written; the message is one sentence that says what to do."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row as it was read.

    Attributes:
        number: of its line in JSON Lines, of the row in Parquet; from 1.
        line: its JSON, without white space around it; empty for a row of Parquet.
    """

    number: int
    record: Record
    line: bytes = b""


@dataclass(frozen=True, slots=True)
class BadRow:
    """A line that is no row, and why; the reason quotes nothing of it."""

    number: int
    reason: str


@dataclass(frozen=True, slots=True)
class Chunk:
    """Consecutive rows.

    Attributes:
        batch: the same rows as they come from Parquet.
        share: of the file that ends with this chunk, up to 1; None where its length is not known.
    """

    rows: list[Row | BadRow]
    batch: "RecordBatch | None" = None
    share: float | None = None


class TableWriter(Protocol):
    """Writes rows to a file that `writing` opened."""

    def write(
        self, chunk: Chunk, added: Sequence[Record | None], dropped: Collection[str] = ()
    ) -> None:
        """Write the rows of a chunk, each with its new columns and without the `dropped` ones.

        A row for which `added` has None is left out, as every `BadRow` must be.
        """

    def write_records(self, records: Sequence[Record]) -> None:
        """Write rows that were read from no file."""

    def close(self) -> None:
        """Write what is buffered."""


def is_parquet(path: str) -> bool:
    return path.endswith((".parquet", ".pq"))


def read_chunks(path: str) -> Iterator[Chunk]:
    """Read a table.

    Raises:
        TableError: the file is not there, cannot be read, or breaks off.
    """
    from codepmp_client.bulk import json_lines, parquet

    require_known_format(path)
    if is_parquet(path):
        return parquet.read_chunks(path)
    return json_lines.read_chunks(path)


@contextmanager
def writing(
    path: str, types: Mapping[str, ColumnType] | None = None, *, replace: bool = True
) -> Iterator[TableWriter]:
    """Write a table beside `path`, in `path.partial`, which takes its place when all went well.

    Args:
        types: of new columns, for Parquet. Others are typed by the first rows' values.
        replace: whether a file at `path` may be replaced.

    Raises:
        TableError: it cannot be written, or a value has no place in its format.
    """
    from codepmp_client.bulk import json_lines, parquet

    require_known_format(path)
    if path == STANDARD_STREAM:
        yield json_lines.JsonLinesWriter(sys.stdout.buffer)
        sys.stdout.buffer.flush()
        return
    target = resolved(path)
    require_place(target, replace)
    partial = partial_path(target)
    try:
        with ExitStack() as stack:
            stream = stack.enter_context(partial.open("wb"))
            writer: TableWriter
            if is_parquet(path):
                writer = parquet.ParquetTableWriter(stream, dict(types or {}))
            elif path.endswith(".gz"):
                writer = json_lines.gzip_writer(stream)
            else:
                writer = json_lines.JsonLinesWriter(stream)
            try:
                yield writer
            finally:
                # Also after a failure: a compressor may hold memory and threads.
                writer.close()
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(target)
    except OSError as error:
        raise unwritable(partial, error) from error
    finally:
        # What was written before a failure is of no use, and a full disk needs the room.
        partial.unlink(missing_ok=True)


def partial_path(target: Path) -> Path:
    return target.with_name(f"{target.name}.partial")


def resolved(path: str) -> Path:
    """Where a file is, behind symbolic links, so that a link stays and its target is replaced.

    Raises:
        TableError: there can be no such file, as behind links in a circle or with too long a name.
    """
    try:
        file = Path(path).resolve()
        file.exists()
    except RuntimeError as error:
        raise TableError(f"{path} is a symbolic link that leads back to itself") from error
    except OSError as error:
        raise TableError(f"{path} cannot be a file here: {error.strerror or error}") from error
    return file


def require_place(target: Path, replace: bool) -> None:
    """Refuse a path at which no table can be written.

    Raises:
        TableError: it is a folder or a device, its folder is missing, or it may not be replaced.
    """
    if not target.parent.is_dir():
        raise TableError(f"there is no folder {target.parent}: make it first")
    if target.exists() and not target.is_file():
        raise TableError(f"{target} is not a file: name one to be written")
    if target.exists() and not replace:
        raise TableError(f"{target} exists already: name another file, or give --force")


def require_known_format(path: str) -> None:
    """Refuse a name that promises a format which nothing here reads or writes."""
    if path.endswith(_OTHER_FORMATS):
        suffix = Path(path).suffix
        raise TableError(
            f"{path}: no {suffix} files are read or written, only JSON Lines (.jsonl, .jsonl.gz) "
            "and Parquet (.parquet): convert it first"
        )


def unwritable(path: Path, error: OSError) -> TableError:
    """The error of a full disk, of a missing permission and so on, as a sentence."""
    reason = error.strerror or str(error)
    return TableError(
        f"{path} cannot be written ({reason}): free some space, or choose another place"
    )


def unreadable(path: str, error: OSError) -> TableError:
    """The error of a file that cannot be opened or read, as a sentence."""
    return TableError(f"{path} cannot be read: {error.strerror or error}")
