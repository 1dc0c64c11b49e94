"""Sorts snippets on disk, because a corpus need not fit into memory.

What is kept of a corpus must not depend on which file was read first: the limit of each package
takes the first snippets in this order, and so does the removal of duplicates.
"""

import dataclasses
import json
import sqlite3
from collections.abc import Iterator
from typing import Self

from trainer.corpus.snippet import Snippet


class ExternalSort:
    """A temporary SQLite table, read back sorted by package and then by id, which is a hash."""

    def __init__(self) -> None:
        # SQLite keeps a database without a name in a temporary file, and removes it.
        self._rows = sqlite3.connect("", isolation_level=None)
        self._rows.execute(
            "CREATE TABLE snippets"
            " (package TEXT, id TEXT, rank INT, path TEXT, sha256 TEXT, position INT, row TEXT)"
        )
        # One transaction holds all rows: nobody needs them after a crash.
        self._rows.execute("BEGIN")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._rows.close()

    def __len__(self) -> int:
        (count,) = self._rows.execute("SELECT count(*) FROM snippets").fetchone()
        assert isinstance(count, int)
        return count

    def add(self, snippet: Snippet, rank: int, position: int) -> None:
        """Add a snippet. Among equal ones of a package that of the lowest rank comes first.

        Args:
            rank: of its file; ties are broken by the file's path and content.
            position: index in its file.
        """
        row = json.dumps(dataclasses.asdict(snippet))
        file = (rank, snippet.path, snippet.sha256)
        values = (snippet.package, snippet.id, *file, position, row)
        self._rows.execute("INSERT INTO snippets VALUES (?, ?, ?, ?, ?, ?, ?)", values)

    def sorted(self) -> Iterator[Snippet]:
        # The row itself is the last key, which makes the order total.
        found = self._rows.execute(
            "SELECT row FROM snippets ORDER BY package, id, rank, path, sha256, position, row"
        )
        for (row,) in found:
            yield Snippet(**json.loads(row))
