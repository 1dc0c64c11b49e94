"""Shards: a stage's rows in JSON Lines files of a bounded size."""

from collections.abc import Iterable
from itertools import count, islice
from pathlib import Path
from typing import TypeVar

from trainer.pipeline.stage import Dataclass, StageError, read_manifest, read_rows, write_rows

R = TypeVar("R", bound=Dataclass)


def write_shards(folder: Path, stem: str, rows: Iterable[Dataclass], size: int) -> None:
    """Write `stem-00000.jsonl` and so on, of at most `size` rows each, in the order given.

    At most one shard of rows is in memory at a time.
    """
    waiting = iter(rows)  # every islice below goes on where the last one ended
    for number in count():
        shard = list(islice(waiting, size))
        if not shard:
            return
        write_rows(folder / f"{stem}-{number:05d}.jsonl", shard)


def read_shards(folder: Path, stem: str, row_type: type[R]) -> list[R]:
    """All rows of a finished stage, in the order in which they were written."""
    read_manifest(folder)
    files = sorted(folder.glob(f"{stem}-*.jsonl"))
    return [row for file in files for row in read_rows(file, row_type)]


def require_rows(folder: Path, stem: str) -> None:
    """Raise StageError when a finished stage has no row of this kind."""
    read_manifest(folder)
    if not any(folder.glob(f"{stem}-*.jsonl")):
        raise StageError(
            f"the {stem} split of {folder.name} is empty: raise {stem}_share, or add groups"
        )
