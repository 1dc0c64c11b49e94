"""Files of a table, wherever fsspec finds them: a path or a pattern, local or a URL."""

from pathlib import Path

import fsspec

from trainer.pipeline.stage import StageError


def absolute(place: str, work: Path) -> str:
    return place if "://" in place else str(work / place)


def open_files(place: str, work: Path, compression: str | None) -> list[fsspec.core.OpenFile]:
    """By name; `compression` "infer" goes by the suffix, None leaves all as they are."""
    where = absolute(place, work)
    found = fsspec.open_files(where, "rb", compression=compression)
    there = sorted((f for f in found if f.fs.isfile(f.path)), key=lambda file: str(file.path))
    if not there:
        raise StageError(f"no file at {where}: give a file's path, or a pattern such as 'x/*.gz'")
    return there
