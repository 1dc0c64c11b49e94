"""The prompts of a file that `codepmp-score rows` wrote, each with all of its candidates."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from codepmp_client.bulk.progress import Progress
from codepmp_client.bulk.row_groups import gathering
from codepmp_client.bulk.row_values import Unscorable
from codepmp_client.bulk.scored_prompt import RatedRow, ScoredColumns, ScoredPrompt
from codepmp_client.bulk.tables import BadRow, Record, TableError, read_chunks
from codepmp_client.bulk.tally import Tally


@dataclass(frozen=True)
class ScoredFile:
    """A file whose rows have the candidates of a prompt each, or one candidate each.

    Attributes:
        columns: finds the columns by the first row; it may raise UsageError.
        scratch: folder that has room for the rows with one candidate while they are grouped.
    """

    path: str
    columns: Callable[[Record], ScoredColumns]
    scratch: Path

    def prompts(self, tally: Tally, progress: Progress) -> Iterator[ScoredPrompt]:
        """Read the prompts in the order of their first rows, in bounded memory.

        Rows that cannot be read are left out.

        Raises:
            TableError: the file cannot be read.
            UsageError: its columns are not clear.
        """
        rows = self._rows(tally, progress)
        first = next(rows, None)
        if first is None:
            return
        if first.listed:
            for row in chain([first], rows):
                yield ScoredPrompt.of([row], tally)
            return
        with gathering(self.scratch) as groups:
            for row in chain([first], rows):
                groups.add(row)
            for members in groups:
                yield ScoredPrompt.of(members, tally)

    def _rows(self, tally: Tally, progress: Progress) -> Iterator[RatedRow]:
        """The rows that can be read."""
        columns: ScoredColumns | None = None
        for chunk in read_chunks(self.path):
            for row in chunk.rows:
                tally.rows += 1
                if isinstance(row, BadRow):
                    if columns is None:
                        raise TableError(
                            f"{self.path} does not begin with rows: line {row.number} is "
                            f"{row.reason}"
                        )
                    tally.leave_row_out(row.number, row.reason)
                    continue
                if columns is None:
                    columns = self.columns(row.record)
                    progress.note(f"{columns.inputs.describe()}, scores: {columns.scores}")
                try:
                    rated = columns.read(row.number, row.record)
                except Unscorable as error:
                    tally.leave_row_out(row.number, str(error))
                    continue
                tally.missing_columns.update(n for n in columns.kept if n not in row.record)
                yield rated
            # How many rows there are is not known before the last one is read.
            progress.expect(round(tally.rows / chunk.share) if chunk.share else None)
            progress.advance(len(chunk.rows))
