"""Rows with equal keys, wherever they are in a file: gathered on disk, in bounded memory."""

import json
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import groupby
from pathlib import Path

from codepmp_client.bulk.tables import Record, Row, TableError

# Of SQLite's page cache; negative numbers are KiB.
_CACHE = -64 * 1024


class RowGroups:
    """Groups in the order of their first rows; `gathering` makes one."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._last: tuple[bytes, int] = (b"", -1)

    def add(self, key: bytes, number: int, record: Record) -> None:
        """Add a row; `record` has the columns that are needed later."""
        # Rows of a prompt often follow one another, which spares the look-up.
        if key != self._last[0]:
            self._last = key, self._group_of(key)
        row = (self._last[1], number, json.dumps(record))
        self._database.execute("INSERT INTO rows VALUES (?, ?, ?)", row)

    def _group_of(self, key: bytes) -> int:
        find = "SELECT number FROM groups WHERE key = ?"
        for (number,) in self._database.execute(find, (key,)):
            return int(number)
        made = self._database.execute("INSERT INTO groups (key) VALUES (?)", (key,)).lastrowid
        assert made is not None
        return made

    def __iter__(self) -> Iterator[list[Row]]:
        self._database.execute("CREATE INDEX by_group ON rows (group_number)")
        # Without the index's name SQLite may sort whole rows instead.
        rows = self._database.execute(
            "SELECT group_number, line, record FROM rows INDEXED BY by_group "
            "ORDER BY group_number, rowid"
        )
        for _, members in groupby(rows, key=lambda row: row[0]):
            yield [Row(line, json.loads(record)) for _, line, record in members]


@contextmanager
def gathering(folder: Path) -> Iterator[RowGroups]:
    """Open empty groups, which take about as much room in `folder` as their rows.

    Raises:
        TableError: the folder's disk is full.
    """
    handle, name = tempfile.mkstemp(prefix=".codepmp-score-", dir=folder)
    os.close(handle)
    try:
        with closing(sqlite3.connect(name, isolation_level=None)) as database:
            for setting in ("journal_mode=OFF", "synchronous=OFF", f"cache_size={_CACHE}"):
                database.execute(f"PRAGMA {setting}")
            database.execute("BEGIN")
            database.execute("CREATE TABLE groups (number INTEGER PRIMARY KEY, key BLOB UNIQUE)")
            database.execute("CREATE TABLE rows (group_number INTEGER, line INTEGER, record TEXT)")
            # SQLite keeps it open. Without a name it goes with this process, however that ends.
            Path(name).unlink()
            yield RowGroups(database)
    except sqlite3.OperationalError as error:
        raise TableError(
            f"rows cannot be grouped in {folder} ({error}): make room there"
        ) from error
    finally:
        Path(name).unlink(missing_ok=True)
