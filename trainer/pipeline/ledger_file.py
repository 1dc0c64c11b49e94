"""The SQLite file behind a ledger: rows that survive a process killed at any moment."""

import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from trainer.pipeline.stage import StageError


class LedgerFile:
    """Rows of one table that are only ever added.

    A row is committed when `append` returns. Several processes of one machine may write at the same
    time, and so may threads that share a lock. Processes of several machines may not: SQLite's
    write-ahead log needs memory that its writers share.

    Args:
        columns: of the table, as SQL declares them; the first is its key. A file from before one of
            the others was thought of gets that column with its default.
        redo: what happens again when the file is deleted, for the message of an error.

    Raises:
        StageError: the file is damaged, is no ledger, or cannot be written. What it holds stays.
    """

    def __init__(self, file: Path, table: str, columns: tuple[str, ...], redo: str) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self._file, self._table = file, table
        # Writers of other processes wait for each other, for at most a minute.
        try:
            self._rows = sqlite3.connect(
                file, timeout=60, isolation_level=None, check_same_thread=False
            )
        except sqlite3.OperationalError as error:
            raise self._unwritable(error) from error
        try:
            # With a write-ahead log a commit costs no fsync. The log is synced whenever it has
            # grown to 64 pages of 4 KiB, so a crash of the whole machine loses the last few
            # dozen rows, which are then made again.
            self._rows.execute("PRAGMA journal_mode = WAL")
            self._rows.execute("PRAGMA synchronous = NORMAL")
            self._rows.execute("PRAGMA wal_autocheckpoint = 64")
            # A transaction: two processes that open an older file must not both add a column.
            self._rows.execute("BEGIN IMMEDIATE")
            self._rows.execute(f"CREATE TABLE IF NOT EXISTS {table} ({', '.join(columns)})")
            known = {row[1] for row in self._rows.execute(f"PRAGMA table_info({table})")}
            for column in columns:
                if column.split()[0] not in known:
                    self._rows.execute(f"ALTER TABLE {table} ADD COLUMN {column}")
            self._rows.execute("COMMIT")
            (verdict,) = self._rows.execute("PRAGMA quick_check").fetchone()
        except sqlite3.OperationalError as error:
            self._rows.close()
            raise self._unwritable(error) from error
        except sqlite3.DatabaseError as error:
            verdict = str(error)
        if verdict != "ok":
            self._rows.close()
            raise StageError(
                f"{file} is damaged ({verdict}): restore it from a backup, or delete {file.parent} "
                f"to {redo}"
            )

    def close(self) -> None:
        self._rows.close()

    def append(self, values: tuple[str | int | float | bytes, ...]) -> None:
        """Keep a row, unless there is one with its key already."""
        marks = ", ".join("?" * len(values))
        try:
            self._rows.execute(f"INSERT OR IGNORE INTO {self._table} VALUES ({marks})", values)  # noqa: S608 - the table's name is ours
        except sqlite3.OperationalError as error:
            raise self._unwritable(error) from error

    def select(self, query: str, values: tuple[str, ...] = ()) -> Iterable[tuple[Any, ...]]:
        """The rows that a query finds, other processes' included."""
        return self._rows.execute(query, values)

    def _unwritable(self, error: sqlite3.OperationalError) -> StageError:
        return StageError(
            f"{self._file} cannot be written ({error}): see whether its disk is full or another "
            "process holds it, then run this stage again. What it holds is kept"
        )
