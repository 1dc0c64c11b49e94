"""Scores the rows of a file: the same rows out, in order, each with its scores.

Chunks of rows are read, looked up in the ledger, and what has no scores yet is sent; several chunks
are under way at a time and leave in the order in which they came, so memory does not depend on the
length of the file. A run that ended early, however it did, is gone on with by running it again: the
ledger has the scores of all rows that were answered, and the output is written from its beginning.
"""

from collections.abc import Iterator
from contextlib import nullcontext
from itertools import chain
from pathlib import Path

from codepmp_client.bulk.batch import Gate, score_batch
from codepmp_client.bulk.columns import (
    Columns,
    NewColumns,
    RowInput,
)
from codepmp_client.bulk.exits import UsageError
from codepmp_client.bulk.fleet import connected
from codepmp_client.bulk.ledger import Ledger
from codepmp_client.bulk.row_run import RowRun, read_row, version_changed
from codepmp_client.bulk.row_values import Unscorable
from codepmp_client.bulk.score_job import Observer, ScoreJob, Totals
from codepmp_client.bulk.servers import Model, check_servers
from codepmp_client.bulk.tables import (
    STANDARD_STREAM,
    BadRow,
    Chunk,
    Record,
    Row,
    TableError,
    read_chunks,
    require_known_format,
    require_place,
    resolved,
    writing,
)
from codepmp_client.client import AsyncRewardClient
from codepmp_client.inputs import BULK, Options


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
    read = [read_row(columns, record) for record in records]
    inputs = [row for row in read if isinstance(row, RowInput)]
    scored = iter(await score_batch(inputs, client, options, gate=gate))
    rows = [row if isinstance(row, Unscorable) else next(scored) for row in read]
    return [names.record(row, columns.listed) for row in rows]


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
                run = RowRun(job, columns, names, client, fleet, ledger, table, observer)
                await run.score(chain(begin, chunks))
        ledger.delete()
    return run.totals


def require_places(job: ScoreJob) -> Path:
    """Return where OUT is, behind symbolic links; refuse files that cannot be read and written."""
    target = resolved(job.target)
    for path in (job.source, job.target):
        require_known_format(path)
    if job.target == STANDARD_STREAM:
        raise UsageError("OUT must be a file, so that a run that is interrupted can go on")
    require_place(target, job.replace)
    if job.source != STANDARD_STREAM and resolved(job.source) == target:
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
        raise version_changed(ledger.models[-1], " or ".join(map(" ".join, served)))
