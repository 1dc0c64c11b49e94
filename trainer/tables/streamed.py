"""Read rows of any data set that `datasets` opens, one after the other."""

from collections.abc import Iterator, Sequence

from trainer.pipeline.stage import StageError
from trainer.tables.record import Record, without_nulls


def streamed(
    name: str,
    subset: str | None = None,
    *,
    split: str = "train",
    revision: str | None = None,
    data_dir: str | None = None,
    data_files: Sequence[str] | None = None,
    max_rows: int | None = None,
) -> Iterator[Record]:
    """Yield rows, at most `max_rows`; the other arguments are those of `datasets.load_dataset`.

    Raises:
        StageError: the data set does not exist, has no such subset or split, may not be read, or is
            damaged.
    """
    # Its import takes seconds, and few runs need it.
    from datasets import load_dataset

    # Streamed: the first rows come before a data set of terabytes is downloaded.
    try:
        rows = load_dataset(
            name,
            subset,
            data_dir=data_dir,
            data_files=data_files,
            split=split,
            revision=revision,
            streaming=True,
        )
        yield from map(without_nulls, rows if max_rows is None else rows.take(max_rows))
    except (OSError, ValueError) as error:
        raise StageError(f"the data set {name} cannot be read: {error}") from error
