"""Reads and writes Parquet: new columns are appended to the batches that were read."""

from collections.abc import Collection, Iterator, Sequence
from typing import IO

import pyarrow
from pyarrow.parquet import ParquetFile, ParquetWriter

from codepmp_client.bulk.tables import (
    CHUNK_BYTES,
    CHUNK_ROWS,
    BadRow,
    Chunk,
    ColumnType,
    Record,
    Row,
    TableError,
    unreadable,
)

# Bytes in Arrow's memory after which a row group is written. Readers prefer large ones, and all of
# a group is in memory until then.
ROW_GROUP_BYTES = 32 * 1024 * 1024

ARROW_TYPES: dict[ColumnType, pyarrow.DataType] = {
    "number": pyarrow.float64(),
    "integer": pyarrow.int64(),
    "text": pyarrow.string(),
    "numbers": pyarrow.list_(pyarrow.float64()),
    "integers": pyarrow.list_(pyarrow.int64()),
    "texts": pyarrow.list_(pyarrow.string()),
}


def read_chunks(path: str) -> Iterator[Chunk]:
    """Read Parquet, row group by row group.

    Raises:
        TableError: the file is not there, is no Parquet, or is damaged.
    """
    number = 1
    try:
        with ParquetFile(path, pre_buffer=False) as table:
            facts = table.metadata
            groups = [facts.row_group(index) for index in range(facts.num_row_groups)]
            row_bytes = sum(group.total_byte_size for group in groups) / max(1, facts.num_rows)
            rows_at_a_time = max(1, min(CHUNK_ROWS, int(CHUNK_BYTES / max(1.0, row_bytes))))
            for batch in table.iter_batches(rows_at_a_time):
                records: list[Record] = batch.to_pylist()
                rows: list[Row | BadRow] = [Row(number + i, r) for i, r in enumerate(records)]
                number += len(rows)
                yield Chunk(rows, batch, (number - 1) / facts.num_rows)
            if facts.num_rows == 0:
                yield Chunk([], pyarrow.RecordBatch.from_pylist([], table.schema_arrow))
    except OSError as error:
        raise unreadable(path, error) from error
    # A moment that Python has no form for overflows: a year after 9999, for example.
    except (pyarrow.ArrowException, ValueError, KeyError, OverflowError) as error:
        raise TableError(f"{path} cannot be read as Parquet at row {number}: {error}") from error


class ParquetTableWriter:
    """Writes Parquet in row groups of `ROW_GROUP_BYTES`.

    Args:
        stream: gets the file; its owner closes it.
        types: of new columns; others are typed by the values of the first rows.
    """

    def __init__(self, stream: IO[bytes], types: dict[str, ColumnType]) -> None:
        self._stream = stream
        self._types = types
        self._writer: ParquetWriter | None = None
        self._batches: list[pyarrow.RecordBatch] = []
        self._rows = 0

    def write(
        self, chunk: Chunk, added: Sequence[Record | None], dropped: Collection[str] = ()
    ) -> None:
        batch = chunk.batch
        kept = [index for index, columns in enumerate(added) if columns is not None]
        columns_of = [columns for columns in added if columns is not None]
        if batch is None:
            records = []
            for index, columns in zip(kept, columns_of, strict=True):
                row = chunk.rows[index]
                assert isinstance(row, Row), "a bad row has no columns"
                own = {name: value for name, value in row.record.items() if name not in dropped}
                records.append(own | columns)
            self.write_records(records)
            return
        if len(kept) < batch.num_rows:
            batch = batch.take(pyarrow.array(kept, pyarrow.int64()))
        batch = batch.select([name for name in batch.schema.names if name not in dropped])
        for name in columns_of[0] if columns_of else ():
            values = [columns[name] for columns in columns_of]
            array = pyarrow.array(values, self._arrow_type(name))
            batch = batch.append_column(name, array)
        self._append(batch)

    def write_records(self, records: Sequence[Record]) -> None:
        if not records:
            return
        schema = self._schema()
        try:
            if schema is None:
                schema = pyarrow.RecordBatch.from_pylist(list(records)).schema
                for name in schema.names:
                    if kind := self._arrow_type(name):
                        index = schema.get_field_index(name)
                        schema = schema.set(index, pyarrow.field(name, kind))
            # Names that the schema does not have would be left out without a word.
            for number, record in enumerate(records, start=self._rows + 1):
                if unknown := record.keys() - set(schema.names):
                    raise TableError(
                        f"row {number} has the column {min(unknown)}, which the first rows do not "
                        "have: write JSON Lines instead of Parquet"
                    )
            batch = pyarrow.RecordBatch.from_pylist(list(records), schema)
        # Half a surrogate pair is a ValueError.
        except (pyarrow.ArrowException, ValueError, OverflowError) as error:
            first, last = self._rows + 1, self._rows + len(records)
            raise TableError(
                f"rows {first} to {last} do not have the types of one Parquet table ({error}): "
                "write JSON Lines"
            ) from error
        self._append(batch)

    def close(self) -> None:
        self._flush()
        if self._writer is None:
            # Without a row the file has the columns that are known: 0 bytes are no Parquet.
            fields = [(name, ARROW_TYPES[kind]) for name, kind in self._types.items()]
            self._writer = ParquetWriter(self._stream, pyarrow.schema(fields))
        self._writer.close()

    def _arrow_type(self, name: str) -> pyarrow.DataType | None:
        kind = self._types.get(name)
        return kind and ARROW_TYPES[kind]

    def _schema(self) -> pyarrow.Schema | None:
        if self._writer:
            return self._writer.schema
        return self._batches[0].schema if self._batches else None

    def _append(self, batch: pyarrow.RecordBatch) -> None:
        self._batches.append(batch)
        self._rows += batch.num_rows
        if sum(each.nbytes for each in self._batches) >= ROW_GROUP_BYTES:
            self._flush()

    def _flush(self) -> None:
        if not self._batches:
            return
        table = pyarrow.Table.from_batches(self._batches)
        if self._writer is None:
            self._writer = ParquetWriter(self._stream, table.schema)
        self._writer.write_table(table)
        self._batches.clear()
