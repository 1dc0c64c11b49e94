"""The chunks of one run on their way: looked up, scored, and written in order."""

import asyncio
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from codepmp_client.bulk.batch import score_batch
from codepmp_client.bulk.columns import (
    INVALID,
    Columns,
    NewColumns,
    RowInput,
    RowScores,
)
from codepmp_client.bulk.fleet import Fleet
from codepmp_client.bulk.ledger import PASSING, Ledger, row_key
from codepmp_client.bulk.row_values import Unscorable
from codepmp_client.bulk.score_job import Observer, ScoreJob, Totals
from codepmp_client.bulk.servers import Model
from codepmp_client.bulk.tables import BadRow, Chunk, Record, Row, TableError, TableWriter
from codepmp_client.client import AsyncRewardClient
from codepmp_client.errors import ServerFault, VersionChanged

# Chunks under way: enough that the servers have work while the oldest one waits for its last row.
WINDOW = 4

# More than the odd rows on which a server that works may fail.
MAX_FAILED_IN_A_ROW = 100

# Bad lines are told one by one up to here, and then only counted.
TOLD_LINES = 10


@dataclass(slots=True)
class _Pending:
    """A chunk under way.

    Attributes:
        rows: of each row its key; or why it cannot be scored; or None, if it is left out.
        scores: by key, of the rows that have them.
        owners: the earlier chunks under way that score a row with the same content.
    """

    chunk: Chunk
    rows: list[bytes | Unscorable | None] = field(default_factory=list)
    scores: dict[bytes, RowScores] = field(default_factory=dict)
    owners: dict[bytes, "_Pending"] = field(default_factory=dict)
    task: asyncio.Task[None] | None = None


@dataclass(slots=True)
class RowRun:
    """One run over a file, from its first chunk to its last."""

    job: ScoreJob
    columns: Columns
    names: NewColumns
    client: AsyncRewardClient
    fleet: Fleet
    ledger: Ledger
    table: TableWriter
    observer: Observer
    totals: Totals = field(default_factory=Totals)
    under_way: dict[bytes, _Pending] = field(default_factory=dict)
    read: int = 0
    failed_in_a_row: int = 0

    async def score(self, chunks: Iterator[Chunk]) -> None:
        """Score and write all chunks.

        Raises:
            TableError: lines are no rows; everything else is scored then.
        """
        window: deque[_Pending] = deque()
        try:
            async with asyncio.TaskGroup() as tasks:
                # On a thread: a pipe may have nothing for a long time.
                while chunk := await asyncio.to_thread(next, chunks, None):
                    window.append(self._begin(chunk, tasks))
                    while window and (len(window) >= WINDOW or _is_done(window[0])):
                        await self._finish(window.popleft())
                while window:
                    await self._finish(window.popleft())
        except ExceptionGroup as failures:
            # The first failure is the cause; the others are tasks that it cancelled.
            raise failures.exceptions[0] from None
        self.totals.models = self.ledger.models
        if self.totals.bad_rows and self.job.bad_rows == "error":
            count = self.totals.bad_rows
            lines = "1 line" if count == 1 else f"{count:,} lines"
            raise TableError(
                f"{lines} of {self.job.source} cannot be used, as told above, and all others are "
                "scored: mend what is bad and run the same command again, or leave it out with "
                "--bad-rows skip"
            )

    def _begin(self, chunk: Chunk, tasks: asyncio.TaskGroup) -> _Pending:
        """Look up a chunk's rows, and start to score those that have no scores."""
        pending = _Pending(chunk)
        self.read += len(chunk.rows)
        self.observer.expect(round(self.read / chunk.share) if chunk.share else None)
        inputs: dict[bytes, RowInput] = {}
        for row in chunk.rows:
            pending.rows.append(self._identify(row, inputs))
        for key in inputs:
            if owner := self.under_way.get(key):
                pending.owners[key] = owner
        found = self.ledger.find([key for key in inputs if key not in pending.owners])
        pending.scores |= {key: scores for key, (_, scores) in found.items()}
        known = [key for key in pending.rows if isinstance(key, bytes)]
        from_earlier = {key for key, (run, _) in found.items() if run < self.ledger.run}
        self.totals.reused += sum(key in from_earlier for key in known)
        missing = {key: row for key, row in inputs.items() if key not in found | pending.owners}
        self.totals.duplicates += sum(key not in from_earlier for key in known) - len(missing)
        self.observer.advance(len(chunk.rows) - len(missing))
        if missing:
            self.under_way |= dict.fromkeys(missing, pending)
            pending.task = tasks.create_task(self._score(pending, missing))
        return pending

    def _identify(
        self, row: Row | BadRow, inputs: dict[bytes, RowInput]
    ) -> bytes | Unscorable | None:
        """The key of a row, whose input is added to `inputs`."""
        own = row.record if isinstance(row, Row) and not self.job.overwrite else ()
        if taken := [name for name in self.names.all if name in own]:
            row = BadRow(row.number, f"a row that has {taken[0]} already (see --overwrite)")
        if isinstance(row, BadRow):
            self.totals.bad_rows += 1
            if self.totals.bad_rows <= TOLD_LINES:
                self.observer.note(f"line {row.number} is {row.reason}")
            return None
        read = read_row(self.columns, row.record)
        if isinstance(read, Unscorable):
            self.totals.errors[INVALID] += 1
            if self.totals.errors[INVALID] <= TOLD_LINES:
                self.observer.note(f"row {row.number} cannot be scored: {read}")
            return read
        key = row_key(read, self.job.options)
        inputs[key] = read
        return key

    async def _score(self, pending: _Pending, missing: dict[bytes, RowInput]) -> None:
        keys = list(missing)

        def keep(index: int, scores: RowScores) -> None:
            self._require_same_version(scores)
            self._require_working_server(scores)
            pending.scores[keys[index]] = scores
            self.ledger.add(keys[index], scores)
            self.observer.advance(1)

        rows = list(missing.values())
        await score_batch(rows, self.client, self.job.options, gate=self.fleet.slot, scored=keep)

    def _require_working_server(self, scores: RowScores) -> None:
        """Give up on servers that fail on one row after the other, and not only on odd ones."""
        codes = [score.error.code for score in scores.scores if score.error]
        if codes and len(codes) == len(scores.scores) and PASSING.issuperset(codes):
            self.failed_in_a_row += 1
        else:
            self.failed_in_a_row = 0
        if self.failed_in_a_row >= MAX_FAILED_IN_A_ROW:
            raise ServerFault(
                f"{self.failed_in_a_row} rows in a row failed inside the server, the last one with "
                f"{codes[0]}: see its log, then run the same command again"
            )

    def _require_same_version(self, scores: RowScores) -> None:
        known = self.ledger.models
        if known and scores.model is not None and not self.job.mixed_versions:
            now = (scores.model, scores.version or "")
            if now != known[-1]:
                raise version_changed(known[-1], " ".join(now))

    async def _finish(self, pending: _Pending) -> None:
        """Wait for a chunk's scores and write it."""
        if pending.task:
            await pending.task
        added: list[Record | None] = []
        for row in pending.rows:
            if row is None:
                added.append(None)
                continue
            scored: RowScores | Unscorable
            if isinstance(row, Unscorable):
                scored = row
            else:
                scored = pending.owners.get(row, pending).scores[row]
                self._count(scored)
            added.append(self.names.record(scored, self.columns.listed))
            self.totals.rows += 1
        for key in pending.scores:
            if self.under_way.get(key) is pending:
                del self.under_way[key]
        # A chain of chunks, each with a row of the one before, would hold all of them in memory.
        pending.owners.clear()
        self.table.write(pending.chunk, added, self.names.all if self.job.overwrite else ())

    def _count(self, scored: RowScores) -> None:
        codes = [score.error.code for score in scored.scores if score.error]
        self.totals.errors.update(codes)
        self.totals.candidates += len(scored.scores)
        self.totals.scored += not codes


def _is_done(pending: _Pending) -> bool:
    return pending.task is None or pending.task.done()


def read_row(columns: Columns, record: Record) -> RowInput | Unscorable:
    """Read a row's prompt and candidates, or the reason why it cannot be scored."""
    try:
        return columns.read(record)
    except Unscorable as error:
        return error


def version_changed(before: Model, now: str) -> VersionChanged:
    return VersionChanged(
        f"rows were scored by {' '.join(before)} so far, and now by {now}: serve the version of "
        "before, begin anew with --restart, or allow it with --mixed-versions"
    )
