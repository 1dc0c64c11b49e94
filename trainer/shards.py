"""What a stage hands on in bulk: rows in files of a bounded size."""

from pathlib import Path
from typing import TypeVar

from trainer.stage import Row, read_manifest, read_rows, write_rows

R = TypeVar("R", bound=Row)


def write_shards(folder: Path, stem: str, rows: list[R], size: int) -> None:
    """`stem-00000.jsonl` and so on, of at most `size` rows each, in the order given."""
    for number, start in enumerate(range(0, len(rows), size)):
        write_rows(folder / f"{stem}-{number:05d}.jsonl", rows[start : start + size])


def read_shards(folder: Path, stem: str, row_type: type[R]) -> list[R]:
    """All rows of a finished stage."""
    read_manifest(folder)
    files = sorted(folder.glob(f"{stem}-*.jsonl"))
    return [row for file in files for row in read_rows(file, row_type)]
