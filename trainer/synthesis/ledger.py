"""Keeps completions as they arrive, in an SQLite file that survives however the run ends."""

import sqlite3
from dataclasses import astuple
from pathlib import Path
from typing import Self

from trainer.pipeline.stage import StageError
from trainer.synthesis.requests import Completion


class Ledger:
    """All completions of one stage, by the id of their request.

    An appended completion is committed when `append` returns, so killing the process loses none,
    and the first completion of a request is the one that counts. Several processes of one machine
    may write at the same time. Processes of several machines may not: SQLite's write-ahead log
    needs memory that its writers share. Ray workers therefore return their completions to the
    process that runs the stage, which alone writes.

    Raises:
        StageError: the file is damaged, or is no ledger.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = folder / "completions.sqlite"
        # Writers of other processes wait for each other, for at most a minute.
        self._rows = sqlite3.connect(self._file, timeout=60, isolation_level=None)
        try:
            # With a write-ahead log a commit costs no fsync. The log is synced whenever it has
            # grown to 64 pages of 4 KiB, so a crash of the whole machine loses the last few
            # dozen completions, which are then requested again.
            self._rows.execute("PRAGMA journal_mode = WAL")
            self._rows.execute("PRAGMA synchronous = NORMAL")
            self._rows.execute("PRAGMA wal_autocheckpoint = 64")
            self._rows.execute(
                "CREATE TABLE IF NOT EXISTS completions (id TEXT PRIMARY KEY, text TEXT,"
                " finish_reason TEXT, prompt_tokens INT, completion_tokens INT)"
            )
            (verdict,) = self._rows.execute("PRAGMA quick_check").fetchone()
        except sqlite3.DatabaseError as error:
            verdict = str(error)
        if verdict != "ok":
            self._rows.close()
            raise StageError(
                f"{self._file} is damaged ({verdict}): restore it from a backup, or delete "
                f"{folder} to request all completions again"
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._rows.close()

    def append(self, completion: Completion) -> None:
        """Keep a completion, unless its request has one already."""
        values = astuple(completion)
        self._rows.execute("INSERT OR IGNORE INTO completions VALUES (?, ?, ?, ?, ?)", values)

    def completions(self) -> dict[str, Completion]:
        """All completions by request id, in the order of arrival, other processes' included."""
        found = self._rows.execute("SELECT * FROM completions ORDER BY rowid")
        return {row[0]: Completion(*row) for row in found}
