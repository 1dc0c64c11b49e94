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
    """Every file whose suffix is that of a known language; hidden folders are passed over.

    Attributes:
        path: relative to the work folder.
        depth: how many folders name a repository: 1 where the folder holds repositories, 2 where
            it holds owners of repositories, 0 where it is one itself.
        license: of all its files; without it they are of unknown license.
    """

    path: str
    depth: int = 1
    license: str = ""
    kind: Literal["folder"] = "folder"

    def files(self, work: Path, counts: Counter[str]) -> Iterator[SourceFile]:
        root = work / self.path
        if not root.is_dir():
            raise StageError(f"no folder {root}: `path` of a FolderSource is relative to {work}")
        for file in sorted(root.rglob("*")):
            within = file.relative_to(root)
            if not file.is_file() or any(part.startswith(".") for part in within.parts):
                continue
            if found := self._read(file, within, root.resolve().name, counts):
                yield found

    def _read(
        self, file: Path, within: Path, root_name: str, counts: Counter[str]
    ) -> SourceFile | None:
        if reason := self._unreadable(file, within):
            counts[reason] += 1
            return None
        text = read_text(file, counts)
        if text is None:
            return None
        repository = "/".join(within.parts[: self.depth]) or root_name
        path = "/".join(within.parts[self.depth :])
        return SourceFile(text, path, repository, self.license)

    def _unreadable(self, file: Path, within: Path) -> str | None:
        if file.is_symlink():
            return "symbolic link"  # it is read where it points to, or lies outside
        if not language_of("", within.name):
            return "language unknown"
        return "no repository" if len(within.parts) <= self.depth else None
