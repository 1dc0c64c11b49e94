"""Snippets wait on disk until the last one is found, and come back in an order of their own.

A corpus need not fit into memory, and what is kept of it must not depend on which file was read
first: the per-package limit takes the first by order, and so does the removal of duplicates.
"""

import dataclasses
import json
import sqlite3
from collections.abc import Iterator
from typing import Self

from trainer.corpus.snippet import Snippet


class ExternalSort:
    """A temporary table, sorted by package and then by identity, which is a hash."""

    def __init__(self) -> None:
        # SQLite keeps a database without a name in a temporary file, and removes it.
        self._rows = sqlite3.connect("", isolation_level=None)
        self._rows.execute(
            "CREATE TABLE snippets"
            " (package TEXT, id TEXT, rank INT, path TEXT, sha256 TEXT, place INT, row TEXT)"
        )
        self._rows.execute("BEGIN")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._rows.close()

    def __len__(self) -> int:
        (found,) = self._rows.execute("SELECT count(*) FROM snippets").fetchone()
        assert isinstance(found, int)
        return found

    def add(self, snippet: Snippet, rank: int, place: int) -> None:
        """Of equal snippets in one package that of the lowest rank comes first.

        Args:
            rank: of its file; files of one rank come by path and content.
            place: in its file.
        """
        row = json.dumps(dataclasses.asdict(snippet))
        file = (rank, snippet.path, snippet.sha256)
        values = (snippet.package, snippet.id, *file, place, row)
        self._rows.execute("INSERT INTO snippets VALUES (?, ?, ?, ?, ?, ?, ?)", values)

    def sorted(self) -> Iterator[Snippet]:
        found = self._rows.execute(
            "SELECT row FROM snippets ORDER BY package, id, rank, path, sha256, place, row"
        )
        for (row,) in found:
            yield Snippet(**json.loads(row))
