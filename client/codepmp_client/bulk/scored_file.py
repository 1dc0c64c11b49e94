"""The prompts of a file that `codepmp-score rows` wrote, each with all of its candidates."""

import hashlib
import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from codepmp_client.bulk.exits import UsageError
from codepmp_client.bulk.row_groups import gathering
from codepmp_client.bulk.scored_prompt import (
    CANDIDATE_COLUMNS,
    PROMPT_COLUMNS,
    ScoredColumns,
    ScoredPrompt,
    UnreadableRow,
    has_list,
    prompt_of,
)
from codepmp_client.bulk.tables import BadRow, Record, Row, read_rows
from codepmp_client.bulk.tally import Tally


@dataclass(frozen=True)
class ScoredFile:
    """A file whose rows have the candidates of a prompt each, or one candidate each.

    Attributes:
        keep: columns that are needed besides.
        scratch: folder that has room for the rows with one candidate while they are grouped.
    """

    path: str
    columns: ScoredColumns
    keep: Collection[str]
    scratch: Path

    def prompts(self, tally: Tally) -> Iterator[ScoredPrompt]:
        """Read the prompts in the order of their first rows, in bounded memory.

        Rows that cannot be read are left out.

        Raises:
            TableError: the file cannot be read.
            UsageError: the first row is not what the columns promise, so hardly any will be.
        """
        rows = self._readable(tally)
        first = next(rows, None)
        if first is None:
            return
        if has_list(first.record):
            yield self.columns.read([first], tally)
            for row in rows:
                yield self.columns.read([row], tally)
            return
        with gathering(self.scratch) as groups:
            groups.add(_key(first.record), first.number, self._needed(first.record))
            for row in rows:
                groups.add(_key(row.record), row.number, self._needed(row.record))
            for group in groups:
                yield self.columns.read(group, tally)

    def _readable(self, tally: Tally) -> Iterator[Row]:
        """The rows that can be read, all of one shape."""
        lists: bool | None = None
        for row in read_rows(self.path):
            tally.rows += 1
            if isinstance(row, BadRow):
                tally.leave_row_out(row.number, row.reason)
                continue
            try:
                prompt_of(row.record)
                # Counted when it is read with the other rows of its prompt.
                self.columns.read([row], Tally())
                if lists not in (None, has_list(row.record)):
                    raise UnreadableRow("it has candidates, and the rows before it have one each")
            except UnreadableRow as error:
                if lists is None:
                    raise UsageError(f"{self.path}, row {row.number}: {error}") from error
                tally.leave_row_out(row.number, str(error))
                continue
            lists = has_list(row.record)
            tally.missing_columns.update(name for name in self.keep if name not in row.record)
            yield row

    def _needed(self, record: Record) -> Record:
        named = {self.columns.scores or "score", self.columns.labels or "correct", *self.keep}
        wanted = named.union(PROMPT_COLUMNS, CANDIDATE_COLUMNS)
        return {name: value for name, value in record.items() if name in wanted}


def _key(record: Record) -> bytes:
    prompt = json.dumps(prompt_of(record), sort_keys=True)
    return hashlib.sha256(prompt.encode()).digest()
