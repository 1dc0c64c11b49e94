"""A folder of repositories: files of any language, as they were checked out."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from trainer.corpus.languages import language_of
from trainer.corpus.sources.source import SourceFile, read_text
from trainer.pipeline.stage import StageError


@dataclass(frozen=True)
class FolderSource:
    """Every file with the suffix of a known language; hidden files and folders are skipped.

    Attributes:
        path: the folder, relative to the work folder.
        depth: number of path components that name a repository: 1 if the folder holds
            repositories, 2 if it holds owners of repositories, 0 if it is a repository itself.
        license: license of all its files; without it their license is unknown.
    """

    path: str
    depth: int = 1
    license: str = ""
    kind: Literal["folder"] = "folder"

    def files(self, work: Path, counts: Counter[str]) -> Iterator[SourceFile]:
        root = work / self.path
        if not root.is_dir():
            raise StageError(
                f"there is no folder {root}: `path` of a FolderSource is relative to {work}"
            )
        # Sorted, because file systems list a folder in orders of their own.
        for file in sorted(root.rglob("*")):
            within = file.relative_to(root)
            if not file.is_file() or any(part.startswith(".") for part in within.parts):
                continue
            if file.is_symlink():
                # It is read where it points to, or points outside of the folder.
                counts["symbolic link"] += 1
            elif not language_of("", within.name):
                counts["language unknown"] += 1
            elif len(within.parts) <= self.depth:
                counts["no repository"] += 1
            elif (text := read_text(file, counts)) is not None:
                repository = "/".join(within.parts[: self.depth]) or root.resolve().name
                path = "/".join(within.parts[self.depth :])
                yield SourceFile(text, path, repository, self.license)
