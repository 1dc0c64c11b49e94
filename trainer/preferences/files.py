"""Where rows come from: files by a path, or what `datasets` opens."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from trainer.pipeline.stage import StageError
from trainer.tables.files import Found
from trainer.tables.streamed import streamed

_SUFFIXES = (".json", ".jsonl", ".json.gz", ".jsonl.gz", ".parquet")


@dataclass(frozen=True)
class Dataset:
    """What `datasets.load_dataset` takes: a name on the hub, or a folder.

    Attributes:
        subset: its configuration, where it has several.
        revision: commit or tag; without one, the newest, which is another one tomorrow.
    """

    path: str
    subset: str | None = None
    split: str = "train"
    revision: str | None = None

    def read(self) -> Iterator[Found]:
        rows = streamed(self.path, self.subset, split=self.split, revision=self.revision)
        yield from enumerate(rows, start=1)


def files_of(path: Path) -> list[Path]:
    """A file, or those of a folder in the order of their names."""
    if not path.exists():
        raise StageError(f"{path} is not there: paths are seen from the work folder")
    if path.is_file():
        return [path]
    found = [file for file in sorted(path.iterdir()) if file.name.endswith(_SUFFIXES)]
    if not found:
        raise StageError(f"{path} has no file that ends in {', '.join(_SUFFIXES)}")
    return found
