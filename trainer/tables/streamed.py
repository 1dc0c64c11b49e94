"""Rows of what `datasets` opens, one after the other: from the hub, a copy of it, or files."""

from collections.abc import Iterator, Sequence

from trainer.pipeline.stage import StageError


def streamed(
    name: str,
    subset: str | None = None,
    *,
    split: str = "train",
    revision: str | None = None,
    data_dir: str | None = None,
    data_files: Sequence[str] | None = None,
    most: int | None = None,
) -> Iterator[dict[str, object]]:
    """At most so many rows of what `datasets.load_dataset` takes.

    Raises:
        StageError: it is not there, has no such subset or split, may not be read, or is damaged.
    """
    # Its import takes seconds, and few runs need it.
    from datasets import load_dataset

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
        yield from rows if most is None else rows.take(most)
    except (OSError, ValueError) as error:
        raise StageError(f"the data set {name} cannot be read: {error}") from error
