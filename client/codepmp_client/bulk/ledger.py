"""Keeps each row's scores as they come, in a file that survives a process killed at any moment.

Rows are found by their content, so a row that moved, or occurs twice, has its scores already, and
a row that was mended has none. Rows are only added. The file is SQLite's, with a write-ahead log:
a commit is one write and no fsync, so only a crash of the whole machine can lose the last rows,
which are then scored again.
"""

import hashlib
import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from codepmp_client.bulk.columns import RowInput, RowScores
from codepmp_client.bulk.tables import TableError
from codepmp_client.inputs import Options
from codepmp_client.results import ItemError, Score

# Scores with one of these may succeed in another run, so they are not kept.
PASSING = frozenset({"engine_error", "out_of_memory", "internal_error", "item_failed"})

_FORM = 1

# SQLite's default limit on the variables of a query was 999 before 2020.
_KEYS_AT_ONCE = 500

_TABLES = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT);
CREATE TABLE IF NOT EXISTS models (id INTEGER PRIMARY KEY, model TEXT, version TEXT);
CREATE TABLE IF NOT EXISTS scores (
    key BLOB PRIMARY KEY, run INTEGER, model INTEGER, scores TEXT
) WITHOUT ROWID;
"""


def row_key(row: RowInput, options: Options) -> bytes:
    """The identity of what a row asks for, the same in every process."""
    parts: list[object] = [_FORM, row.prompt, row.candidates, row.tools]
    parts += [options.over_length, options.steps]
    if options.criteria is not None:
        parts.append(options.criteria)
    return hashlib.blake2b(json.dumps(parts, default=str).encode(), digest_size=16).digest()


class Ledger:
    """The scores of one output file. It belongs to one process at a time.

    Attributes:
        run: the number of this run, from 1.

    Raises:
        TableError: another process holds it, it is damaged, or it cannot be written.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        try:
            # Nobody waits: a second run on the same file is a mistake.
            self._db = sqlite3.connect(
                file, timeout=0, isolation_level=None, check_same_thread=False
            )
            # Before the log is used for the first time, so that the lock is held until the end.
            self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._db.execute("PRAGMA cache_size = -4096")
            self._db.executescript(_TABLES)
            self.run = int(self.fact("run") or 0) + 1
            self.set_fact("run", str(self.run))
            found = self._db.execute("SELECT id, model, version FROM models ORDER BY id")
            self._models: list[tuple[str, str]] = [(model, version) for _, model, version in found]
        except sqlite3.Error as error:
            raise self._failure(error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file; one without a row would only be in the way."""
        try:
            empty = self.rows() == 0
        except sqlite3.Error:
            empty = False  # it is closed already, or its disk is full
        if empty:
            self.delete()
        self._db.close()

    @property
    def models(self) -> list[tuple[str, str]]:
        """Name and version of the models that gave its scores, in the order of their first one."""
        return list(self._models)

    def rows(self) -> int:
        """Return the number of rows that have their scores."""
        (count,) = self._db.execute("SELECT count(*) FROM scores").fetchone()
        return int(count)

    def fact(self, name: str) -> str | None:
        found = self._db.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return None if found is None else str(found[0])

    def set_fact(self, name: str, value: str) -> None:
        self._db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))

    def clear(self) -> None:
        """Forget all scores, for a run that begins anew."""
        self._db.execute("DELETE FROM scores")
        self._db.execute("DELETE FROM models")
        self._models.clear()

    def add(self, key: bytes, row: RowScores) -> None:
        """Keep the scores of a row, unless an error among them may pass."""
        if any(score.error and score.error.code in PASSING for score in row.scores):
            return
        try:
            self._db.execute(
                "INSERT OR IGNORE INTO scores VALUES (?, ?, ?, ?)",
                (key, self.run, self._model_id(row), _pack(row.scores)),
            )
        except sqlite3.Error as error:
            raise self._failure(error) from error

    def find(self, keys: Sequence[bytes]) -> dict[bytes, tuple[int, RowScores]]:
        """The run and the scores of each of these rows that has them."""
        found: dict[bytes, tuple[int, RowScores]] = {}
        for start in range(0, len(keys), _KEYS_AT_ONCE):
            some = keys[start : start + _KEYS_AT_ONCE]
            marks = ", ".join("?" * len(some))
            query = f"SELECT key, run, model, scores FROM scores WHERE key IN ({marks})"  # noqa: S608
            try:
                for key, run, model, scores in self._db.execute(query, some):
                    names = (None, None) if model is None else self._models[model]
                    found[key] = run, RowScores(_unpack(scores), *names)
            except sqlite3.Error as error:
                raise self._failure(error) from error
        return found

    def delete(self) -> None:
        """Close and remove the file, when the output is complete."""
        self._db.close()
        for name in (f"{self._file.name}-wal", self._file.name):
            self._file.with_name(name).unlink(missing_ok=True)

    def _model_id(self, row: RowScores) -> int | None:
        if row.model is None or row.version is None:
            return None
        names = (row.model, row.version)
        if names not in self._models:
            self._db.execute("INSERT INTO models VALUES (?, ?, ?)", (len(self._models), *names))
            self._models.append(names)
        return self._models.index(names)

    def _failure(self, error: sqlite3.Error) -> TableError:
        if "locked" in str(error):
            return TableError(f"another run writes this output now: {self._file} is in use")
        if isinstance(error, sqlite3.OperationalError):
            return TableError(
                f"{self._file} cannot be written ({error}): see whether the disk is full, then run "
                "the same command again. What it holds is kept"
            )
        return TableError(f"{self._file} is damaged ({error}): delete it, and all is scored anew")


def _pack(scores: Sequence[Score]) -> str:
    return json.dumps(
        [
            [s.raw, s.normalized] if s.error is None else [s.error.code, s.error.message, s.tokens]
            for s in scores
        ],
        separators=(",", ":"),
    )


def _unpack(text: str) -> tuple[Score, ...]:
    scores = []
    for entry in json.loads(text):
        match entry:
            case [str(code), str(message), int(tokens)]:
                scores.append(Score(None, None, tokens, ItemError(code, message)))
            case [raw, normalized]:
                scores.append(Score(raw, normalized, 0))
    return tuple(scores)
