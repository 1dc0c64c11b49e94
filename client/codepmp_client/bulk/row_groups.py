"""Rows of one prompt, wherever they are in a file: gathered on disk, in bounded memory."""

import hashlib
import json
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import groupby
from pathlib import Path

from codepmp_client.bulk.columns import RowInput
from codepmp_client.bulk.scored_prompt import RatedRow
from codepmp_client.bulk.tables import TableError

# Of SQLite's page cache; negative numbers are KiB.
_CACHE = -64 * 1024


class RowGroups:
    """Groups in the order of their first rows; `gathering` makes it."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._last: tuple[str, int] = ("", 0)

    def add(self, row: RatedRow) -> None:
        """Add a row, which has one candidate."""
        prompt = json.dumps([row.input.prompt, row.input.tools], sort_keys=True)
        # Rows of a prompt often follow one another, which spares the look-up.
        if prompt != self._last[0]:
            self._last = prompt, self._group_of(hashlib.sha256(prompt.encode()).digest())
        fields = (row.number, prompt, row.input.candidates, row.scores, row.labels, row.kept)
        try:
            stored = json.dumps(fields)
        except TypeError as error:
            raise TableError(
                f"row {row.number}: a column that is kept has a value that JSON has no form for "
                f"({error}): leave that column out"
            ) from error
        self._database.execute("INSERT INTO rows VALUES (?, ?)", (self._last[1], stored))

    def _group_of(self, key: bytes) -> int:
        find = "SELECT number FROM groups WHERE key = ?"
        for (number,) in self._database.execute(find, (key,)):
            return int(number)
        made = self._database.execute("INSERT INTO groups (key) VALUES (?)", (key,)).lastrowid
        assert made is not None
        return made

    def __iter__(self) -> Iterator[list[RatedRow]]:
        self._database.execute("CREATE INDEX by_group ON rows (group_number)")
        # Without the index's name SQLite may sort whole rows instead.
        rows = self._database.execute(
            "SELECT group_number, fields FROM rows INDEXED BY by_group ORDER BY group_number, rowid"
        )
        for _, members in groupby(rows, key=lambda row: row[0]):
            yield [_restored(fields) for _, fields in members]


def _restored(stored: str) -> RatedRow:
    number, key, candidates, scores, labels, kept = json.loads(stored)
    prompt, tools = json.loads(key)
    row = RowInput(prompt, tuple(candidates), tuple(tools))
    return RatedRow(number, False, row, scores, labels, kept)


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
            database.execute("CREATE TABLE rows (group_number INTEGER, fields TEXT)")
            # SQLite keeps it open. Without a name it goes with this process, however that ends.
            Path(name).unlink()
            yield RowGroups(database)
    except sqlite3.OperationalError as error:
        raise TableError(
            f"rows cannot be grouped by prompt in {folder} ({error}): make room there"
        ) from error
    finally:
        Path(name).unlink(missing_ok=True)
