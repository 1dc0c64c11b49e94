"""Reads and writes JSON Lines. A line that is only copied keeps every byte of its columns."""

import gzip
import io
import json
import os
import re
import zlib
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack
from typing import IO, Protocol

from codepmp_client.bulk.tables import (
    CHUNK_BYTES,
    CHUNK_ROWS,
    STANDARD_STREAM,
    BadRow,
    Chunk,
    Record,
    Row,
    TableError,
    unreadable,
)

MAX_LINE_BYTES = 256 * 1024 * 1024
"""A longer line is a bad row: probably it is no line, and it would not fit into memory."""

_GZIP_MAGIC = b"\x1f\x8b"
_PARQUET_MAGIC = b"PAR1"
_BOM = b"\xef\xbb\xbf"

# Python refuses to parse an integer of more than 4300 digits. Nobody computes with such a number,
# and the line keeps it as it stands.
_MAX_DIGITS = 4000

_WHITE_SPACE = re.compile(r"[ \t\r\n]*")


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) < _MAX_DIGITS else float(digits)


_DECODER = json.JSONDecoder(parse_int=_integer)


def read_chunks(path: str) -> Iterator[Chunk]:
    """Read JSON Lines, decompressed where the content is gzip, whatever the name says.

    Raises:
        TableError: the file is not there, is something else, or breaks off.
    """
    with ExitStack() as stack:
        try:
            piped = path == STANDARD_STREAM
            stream = stack.enter_context(open(0 if piped else path, "rb", closefd=not piped))
            lines = _open_lines(path, stream)
        except OSError as error:
            raise unreadable(path, error) from error
        length = os.fstat(stream.fileno()).st_size if stream.seekable() else 0
        rows: list[Row | BadRow] = []
        size = number = 0
        coming = _read_lines(lines)
        while True:
            try:
                row = next(coming, None)
            except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                raise TableError(
                    f"{path} breaks off after line {number}: its gzip data is damaged or cut short"
                ) from error
            except OSError as error:
                raise unreadable(path, error) from error
            if row is not None:
                number = row.number
                rows.append(row)
                size += len(row.line) if isinstance(row, Row) else 0
            if rows and (row is None or size >= CHUNK_BYTES or len(rows) >= CHUNK_ROWS):
                # A file that grows has more than it had.
                share = min(1.0, stream.tell() / length) if length else None
                yield Chunk(rows, share=share)
                rows, size = [], 0
            if row is None:
                return


def _open_lines(path: str, stream: io.BufferedReader) -> IO[bytes]:
    """Look at the first bytes, decompress what is gzip, and refuse what is no JSON Lines."""
    begin = stream.peek(4)[:4]
    if begin.startswith(_PARQUET_MAGIC):
        if path == STANDARD_STREAM:
            raise TableError(
                "standard input is Parquet, which cannot be read from a pipe because its index is "
                "at its end: name a file"
            )
        raise TableError(f"{path} is Parquet: give it a name that ends in .parquet")
    if begin.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise TableError(f"{path} is UTF-16: convert it to UTF-8 first")
    if begin.startswith(_GZIP_MAGIC):
        return io.BufferedReader(gzip.GzipFile(fileobj=stream), 1 << 20)
    if begin.removeprefix(_BOM).lstrip().startswith(b"["):
        raise TableError(
            f"{path} is a JSON array, and JSON Lines has an object on each line: "
            f"`jq -c '.[]' {path}` makes them"
        )
    return stream


def _read_lines(stream: IO[bytes]) -> Iterator[Row | BadRow]:
    number = 0
    while line := stream.readline(MAX_LINE_BYTES):
        number += 1
        if len(line) == MAX_LINE_BYTES and not line.endswith(b"\n"):
            while line and not line.endswith(b"\n"):
                line = stream.readline(MAX_LINE_BYTES)
            yield BadRow(number, f"longer than {MAX_LINE_BYTES >> 20} MiB")
            continue
        if number == 1:
            line = line.removeprefix(_BOM)
        if line := line.strip():
            yield parse_line(number, line)


def parse_line(number: int, line: bytes) -> Row | BadRow:
    """Parse one line without white space around it."""
    try:
        record = _DECODER.decode(line.decode())
    except UnicodeDecodeError as error:
        return BadRow(number, f"not UTF-8 at byte {error.start + 1}")
    except json.JSONDecodeError as error:
        hint = ""
        if number == 1 and line in (b"{", b"["):
            hint = "; the file may be JSON over several lines, which `jq -c .` mends"
        return BadRow(number, f"not JSON ({error.msg}, column {error.colno}){hint}")
    except RecursionError:
        return BadRow(number, "nested too deep")
    if not isinstance(record, dict):
        return BadRow(number, "not an object")
    return Row(number, record, line)


def without_members(line: bytes, names: Collection[str]) -> bytes:
    """Take members out of an object's JSON; the others keep every byte, also duplicate ones."""
    text = line.decode()

    def skip(at: int) -> int:
        match = _WHITE_SPACE.match(text, at)
        assert match
        return match.end()

    kept = []
    at = skip(1)
    while text[at] != "}":
        begin = at
        key, at = _DECODER.raw_decode(text, at)
        _, at = _DECODER.raw_decode(text, skip(skip(at) + 1))
        if key not in names:
            kept.append(text[begin:at])
        at = skip(at)
        if text[at] == ",":
            at = skip(at + 1)
    return ("{" + ", ".join(kept) + "}").encode()


class ByteSink(Protocol):
    """Takes bytes: a file, or a compressor around it."""

    def write(self, data: bytes, /) -> int: ...


class JsonLinesWriter:
    """Writes JSON Lines.

    Args:
        stream: gets the lines; its owner closes it.
        close: called by `close`, for a stream around it that compresses.
    """

    def __init__(self, stream: ByteSink, close: Callable[[], None] | None = None) -> None:
        self._stream = stream
        self._close = close

    def write(
        self, chunk: Chunk, added: Sequence[Record | None], dropped: Collection[str] = ()
    ) -> None:
        lines = []
        for row, columns in zip(chunk.rows, added, strict=True):
            if columns is None:
                continue
            assert isinstance(row, Row), "a bad row has no columns"
            line = row.line
            if not line:
                line = _to_json(row.record, row.number)
            if not row.record.keys().isdisjoint(dropped):
                line = without_members(line, dropped)
            lines.append(_spliced(line, _to_json(columns, row.number)))
        self._stream.write(b"".join(lines))

    def write_records(self, records: Sequence[Record]) -> None:
        lines = [_to_json(record, n) + b"\n" for n, record in enumerate(records, start=1)]
        self._stream.write(b"".join(lines))

    def close(self) -> None:
        if self._close:
            self._close()


def gzip_writer(stream: IO[bytes]) -> JsonLinesWriter:
    """A writer that compresses; the same rows make the same bytes at any time."""
    compressed = gzip.GzipFile(filename="", mode="wb", fileobj=stream, compresslevel=6, mtime=0)
    return JsonLinesWriter(compressed, compressed.close)


def _to_json(record: Record, number: int) -> bytes:
    try:
        return json.dumps(record).encode()
    except TypeError as error:
        raise TableError(
            f"row {number} holds a value that JSON has no form for ({error}): write Parquet"
        ) from error


def _spliced(line: bytes, columns: bytes) -> bytes:
    """One object with the members of both, and a line end."""
    head, members = line[:-1].rstrip(), columns[1:]
    separator = b", " if head != b"{" and members != b"}" else b""
    return head + separator + members + b"\n"
