"""Scores the rows of a file: the same rows out, in order, each with its scores.

Chunks of rows are read, looked up in the ledger, and what has no scores yet is sent; several chunks
are under way at a time and leave in the order in which they came, so memory does not depend on the
length of the file. A run that ended early, however it did, is gone on with by running it again: the
ledger has the scores of all rows that were answered, and the output is written from its beginning.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Literal, Protocol

from codepmp_client.bulk.batch import Gate, score_batch
from codepmp_client.bulk.columns import (
    INVALID,
    Columns,
    NewColumns,
    RowInput,
    RowScores,
    Unscorable,
    detect,
)
from codepmp_client.bulk.exits import UsageError
from codepmp_client.bulk.fleet import Fleet, connected
from codepmp_client.bulk.ledger import PASSING, Ledger, row_key
from codepmp_client.bulk.servers import Model, check_servers
from codepmp_client.bulk.tables import (
    STANDARD_STREAM,
    BadRow,
    Chunk,
    Record,
    Row,
    TableError,
    TableWriter,
    read_chunks,
    require_known_format,
    require_place,
    writing,
)
from codepmp_client.client import AsyncRewardClient
from codepmp_client.errors import ServerFault, VersionChanged
from codepmp_client.inputs import BULK, Options

# Chunks under way: enough that the servers have work while the oldest one waits for its last row.
WINDOW = 4

# More than the odd rows on which a server that works may fail.
MAX_FAILED_IN_A_ROW = 100

# Bad lines are told one by one up to here, and then only counted.
TOLD_LINES = 10


@dataclass(frozen=True, slots=True)
class ScoreJob:
    """What `codepmp-score rows` was asked to do.

    Attributes:
        columns: finds the columns by the first row; it may raise UsageError.
        concurrency: the most requests in flight to one server.
        patience: seconds for which a request is tried again, while a server restarts for example.
        overwrite: whether columns of the new ones' names are replaced.
        replace: whether a file at `target` is replaced.
        bad_rows: what lines that are no rows do: fail the run at its end, or stay out of it.
        mixed_versions: whether rows may be scored by different versions.
        restart: whether the scores of an earlier run are forgotten.
    """

    source: str
    target: str
    urls: tuple[str, ...]
    columns: Callable[[Record], Columns] = detect
    options: Options = BULK
    api_key: str | None = field(default=None, repr=False)
    concurrency: int = 16
    patience: float = 600.0
    overwrite: bool = False
    replace: bool = False
    bad_rows: Literal["error", "skip"] = "error"
    mixed_versions: bool = False
    restart: bool = False


@dataclass(slots=True)
class Totals:
    """Counts of one run.

    Attributes:
        rows: that were written.
        scored: of them, rows all of whose candidates have a score.
        errors: candidates, and rows that are invalid, by the error's code.
        reused: rows whose scores an earlier run had left.
        duplicates: rows with the content of an earlier one of this run.
        bad_rows: lines that are no rows.
        models: names and versions that gave the scores.
    """

    rows: int = 0
    scored: int = 0
    candidates: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    reused: int = 0
    duplicates: int = 0
    bad_rows: int = 0
    models: list[Model] = field(default_factory=list)


class Observer(Protocol):
    """Is told how a run goes on."""

    def note(self, text: str) -> None:
        """Something that a person should know."""

    def expect(self, rows: int | None) -> None:
        """The input has about so many rows; None where its length is not known."""

    def advance(self, rows: int) -> None:
        """So many more rows have their scores."""


async def score_records(
    records: list[Record],
    columns: Columns,
    names: NewColumns,
    client: AsyncRewardClient,
    options: Options = BULK,
    *,
    gate: Gate = nullcontext,
) -> list[Record]:
    """Score rows that are in memory; return the new columns of each, in order.

    A row that cannot be scored has an error in its columns.

    Raises:
        RewardError: the server cannot be reached, or refuses all.
    """
    read = [_read(columns, record) for record in records]
    inputs = [row for row in read if isinstance(row, RowInput)]
    scored = iter(await score_batch(inputs, client, options, gate=gate))
    rows = [row if isinstance(row, Unscorable) else next(scored) for row in read]
    return [names.record(row, columns.listed) for row in rows]


def _read(columns: Columns, record: Record) -> RowInput | Unscorable:
    try:
        return columns.read(record)
    except Unscorable as error:
        return error


def ledger_path(target: Path) -> Path:
    return target.with_name(f"{target.name}.ledger")


async def score_file(job: ScoreJob, observer: Observer) -> Totals:
    """Score a file.

    Raises:
        UsageError: its columns are not clear.
        TableError: a file cannot be read or written, or has lines that are no rows.
        RewardError: the servers cannot be reached, refuse all, or changed their version.
    """
    target = require_places(job)
    chunks = read_chunks(job.source)
    begin, columns, names = _look_at_first_rows(job, chunks)
    if columns is None or names is None:
        observer.note(f"{job.source} has no rows")
        with writing(job.target, replace=job.replace) as table:
            for chunk in begin:
                table.write(chunk, [])
        return Totals()
    observer.note(columns.describe())
    with Ledger(ledger_path(target)) as ledger:
        _compare_with_earlier_run(job, ledger, observer)
        async with connected(
            job.urls, api_key=job.api_key, concurrency=job.concurrency, patience=job.patience
        ) as (client, fleet):
            served = await check_servers(job.urls, fleet.http, observer.note, job.patience)
            _require_version(job, ledger, served)
            types = names.types(columns.listed)
            with writing(job.target, types, replace=job.replace) as table:
                run = _Run(job, columns, names, client, fleet, ledger, table, observer)
                await run.score(chain(begin, chunks))
        ledger.delete()
    return run.totals


def require_places(job: ScoreJob) -> Path:
    """Return where OUT is, behind symbolic links; refuse files that cannot be read and written."""
    target = Path(job.target).resolve()
    for path in (job.source, job.target):
        require_known_format(path)
    if job.target == STANDARD_STREAM:
        raise UsageError("OUT must be a file, so that a run that is interrupted can go on")
    require_place(target, job.replace)
    if job.source != STANDARD_STREAM and Path(job.source).resolve() == target:
        raise UsageError("IN and OUT are the same file: name another OUT")
    return target


def _look_at_first_rows(
    job: ScoreJob, chunks: Iterator[Chunk]
) -> tuple[list[Chunk], Columns | None, NewColumns | None]:
    """Read up to the first row and find the columns by it; None if there is no row."""
    begin: list[Chunk] = []
    for chunk in chunks:
        begin.append(chunk)
        rows = [row for row in chunk.rows if isinstance(row, Row)]
        if rows:
            taken = {name for row in rows for name in row.record}
            columns = job.columns(rows[0].record)
            names = NewColumns.choose(columns.listed, () if job.overwrite else taken)
            own = [name for name in names.all if name in rows[0].record]
            if own and not job.overwrite:
                raise UsageError(
                    f"the rows have a column {own[0]} already: --overwrite replaces the columns "
                    f"{', '.join(names.all)}"
                )
            return begin, columns, names
        if bad := [row for row in chunk.rows if isinstance(row, BadRow)]:
            raise TableError(
                f"{job.source} does not begin with rows: line {bad[0].number} is {bad[0].reason}"
            )
    return begin, None, None


def _compare_with_earlier_run(job: ScoreJob, ledger: Ledger, observer: Observer) -> None:
    """Say what an earlier run left, and whether the input is another one since."""
    if job.restart:
        ledger.clear()
    source = "standard input"
    if job.source != STANDARD_STREAM:
        facts = Path(job.source).stat()
        source = f"{Path(job.source).resolve()} {facts.st_size} {facts.st_mtime_ns}"
    before = ledger.fact("source")
    if kept := ledger.rows():
        observer.note(f"going on: {kept:,} rows have their scores from an earlier run")
        if before != source:
            observer.note(
                f"{job.source} has changed since: rows with the same content keep their scores, "
                "and the others are scored"
            )
    ledger.set_fact("source", source)


def _require_version(job: ScoreJob, ledger: Ledger, served: list[Model]) -> None:
    if served and ledger.models and not job.mixed_versions and ledger.models[-1] not in served:
        raise _version_changed(ledger.models[-1], " or ".join(map(" ".join, served)))


def _version_changed(before: Model, now: str) -> VersionChanged:
    return VersionChanged(
        f"rows were scored by {' '.join(before)} so far, and now by {now}: serve the version of "
        "before, begin anew with --restart, or allow it with --mixed-versions"
    )


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
class _Run:
    """One run over a file."""

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
        read = _read(self.columns, row.record)
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
                raise _version_changed(known[-1], " ".join(now))

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
