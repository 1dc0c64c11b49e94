"""Bulk scoring on a Ray cluster: a dataset's rows get the columns that `codepmp-score rows` writes.

The workers send requests and compute nothing, so a few of them keep many servers busy. What this
adds to the command line is that the rows are read and written where they are.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pyarrow
from ray.data import Dataset

from codepmp_client.bulk.columns import Columns, NewColumns, detect
from codepmp_client.bulk.exits import UsageError
from codepmp_client.bulk.fleet import connected
from codepmp_client.bulk.parquet import ARROW_TYPES
from codepmp_client.bulk.rows import score_records
from codepmp_client.bulk.servers import check_servers
from codepmp_client.bulk.tables import Record
from codepmp_client.inputs import BULK, Options


@dataclass(frozen=True)
class ScoringTask:
    """The arguments that every worker gets.

    Attributes:
        names: of the columns that rows get.
        concurrency: the maximum of requests in flight of one worker to one server.
        patience: seconds for which a request is tried again.
    """

    urls: tuple[str, ...]
    columns: Columns
    names: NewColumns
    options: Options = BULK
    api_key: str | None = field(default=None, repr=False)
    concurrency: int = 16
    patience: float = 600.0


class RayScorer:
    """Scores batches of rows; for `map_batches(RayScorer, ..., batch_format="pyarrow")`."""

    def __init__(self, task: ScoringTask) -> None:
        self._task = task

    def __call__(self, batch: pyarrow.Table) -> pyarrow.Table:
        names, listed = self._task.names, self._task.columns.listed
        added = asyncio.run(self._score(batch))
        batch = batch.drop_columns([name for name in names.all if name in batch.column_names])
        for name, kind in names.types(listed).items():
            values = pyarrow.array([columns[name] for columns in added], ARROW_TYPES[kind])
            batch = batch.append_column(name, values)
        return batch

    async def _score(self, batch: pyarrow.Table) -> list[Record]:
        task = self._task
        async with connected(
            task.urls,
            api_key=task.api_key,
            concurrency=task.concurrency,
            patience=task.patience,
        ) as (client, fleet):
            return await score_records(
                batch.to_pylist(), task.columns, task.names, client, task.options, gate=fleet.slot
            )


def score_dataset(
    dataset: Dataset,
    urls: Sequence[str],
    *,
    columns: Columns | None = None,
    options: Options = BULK,
    api_key: str | None = None,
    workers: int = 1,
    batch_size: int = 1024,
    concurrency: int = 16,
    patience: float = 600.0,
    overwrite: bool = False,
    mixed_versions: bool = False,
) -> Dataset:
    """Score the rows of a dataset when it is read.

    Rows of one prompt share a request if they are in the same batch. Where the order matters, set
    `ray.data.DataContext.get_current().execution_options.preserve_order`.

    Args:
        columns: by default found by the first row, as `codepmp-score rows` finds them.
        options: without a model, the first one that the servers list. Its version is pinned.
        workers: processes that send requests.
        batch_size: rows of a batch; a batch that fails is sent again as a whole.
        concurrency: the maximum of requests in flight of one worker to one server.
        patience: seconds for which a request is tried again.
        overwrite: whether columns of the new ones' names are replaced.
        mixed_versions: whether rows may be scored by different versions; then none is pinned.

    Raises:
        UsageError: the columns are not clear, or are there already.
        RewardError: the servers cannot be reached, or do not serve the same.
    """
    first = dataset.take_batch(1, batch_format="pyarrow")
    assert isinstance(first, pyarrow.Table), "the format that was asked for"
    columns = columns or detect(first.to_pylist()[0])
    taken = first.column_names
    names = NewColumns.choose(columns.listed, () if overwrite else taken)
    if not overwrite and (own := sorted(set(names.all).intersection(taken))):
        raise UsageError(f"the dataset has a column {own[0]} already: pass overwrite=True")
    task = ScoringTask(tuple(urls), columns, names, options, api_key, concurrency, patience)
    if not mixed_versions:
        task = replace(task, options=asyncio.run(_pinned(task)))
    return dataset.map_batches(
        RayScorer,
        fn_constructor_args=(task,),
        batch_format="pyarrow",
        batch_size=batch_size,
        concurrency=workers,
        # A worker waits for answers nearly all the time. With a whole core each, workers could keep
        # the tasks that read their rows from ever beginning.
        num_cpus=0.1,
    )


async def _pinned(task: ScoringTask) -> Options:
    """The options with the version that is served now, so that no other one scores any row."""
    async with connected(
        task.urls, api_key=task.api_key, concurrency=1, patience=task.patience
    ) as (_, fleet):
        served = await check_servers(task.urls, fleet.http, lambda _: None, task.patience)
    wanted = task.options.model
    for name, version in served:
        if wanted in (None, name):
            return replace(task.options, model=f"{name}@{version}")
    return task.options
