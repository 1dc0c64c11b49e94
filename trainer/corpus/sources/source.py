"""The type that every source of code yields, and how rows of a table become it."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from trainer.pipeline.stage import StageError


@dataclass(frozen=True)
class SourceFile:
    """A file's text and its provenance.

    Attributes:
        path: path within its repository.
        license, language: as stated; empty when not stated.
        rank: among equal functions of a repository, the one in the file of lowest rank is kept.
    """

    text: str
    path: str
    repository: str
    license: str = ""
    language: str = ""
    rank: int = 0

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()


def read_text(file: Path, counts: Counter[str]) -> str | None:
    """A file's text; None, and counted, when it cannot be read or is no UTF-8."""
    try:
        return file.read_bytes().decode()
    except (UnicodeDecodeError, OSError):
        counts["no text"] += 1
        return None


class CodeSource(Protocol):
    """A frozen config that yields source files."""

    def files(self, work: Path, counts: Counter[str]) -> Iterable[SourceFile]:
        """All files, one at a time; `counts` says why others could not be read.

        Args:
            work: the folder that relative paths start from.

        Raises:
            StageError: there is nothing at that place, or not what the config says.
        """


@dataclass(frozen=True)
class Columns:
    """Names of a table's columns.

    Attributes:
        repository: None if rows do not name it; then each file is a unit of hold-out of its own.
        license: column of a text, or of a list of texts, all of which apply.
    """

    text: str = "content"
    path: str = "path"
    repository: str | None = "repository"
    license: str = "license"
    language: str = "language"

    @property
    def needed(self) -> set[str]:
        return {self.text} | ({self.repository} if self.repository is not None else set())

    @property
    def names(self) -> set[str]:
        return self.needed | {self.path, self.license, self.language}

    def check(self, present: Iterable[str], place: str) -> None:
        """Raise for a missing column: a misspelt name is an error at the first row, not a count."""
        found = sorted(present)
        if missing := sorted(self.needed - set(found)):
            raise StageError(
                f"{place} has no column {', '.join(missing)}; name its columns in `Columns`: "
                f"it has {', '.join(found)}"
            )

    def files(
        self,
        rows: Iterable[Mapping[str, object]],
        place: str,
        default_license: str,
        counts: Counter[str],
    ) -> Iterator[SourceFile]:
        """The files of a table whose first row shows which columns it has."""
        for number, row in enumerate(rows):
            if number == 0:
                self.check(row, place)
            if file := self.file(row, default_license, counts):
                yield file

    def file(
        self, row: Mapping[str, object], default_license: str, counts: Counter[str]
    ) -> SourceFile | None:
        """The file of one row; `default_license` applies to rows that state none."""
        text, path = row.get(self.text), stated(row.get(self.path))
        if not isinstance(text, str) or not is_unicode(text):
            counts["no text"] += 1
            return None
        spdx = stated(row.get(self.license)) or default_license
        if self.repository is not None:
            repository = stated(row.get(self.repository))
        else:
            repository = path or hashlib.sha256(text.encode()).hexdigest()[:16]
        if not repository:
            counts["no repository"] += 1
            return None
        return SourceFile(text, path, repository, spdx, stated(row.get(self.language)))


# Columns of two well-known datasets, bigcode/the-stack and codeparrot/github-code.
THE_STACK = Columns(
    path="max_stars_repo_path",
    repository="max_stars_repo_name",
    license="max_stars_repo_licenses",
    language="lang",
)
GITHUB_CODE = Columns(text="code", repository="repo_name")


def stated(value: object) -> str:
    """A cell's text; a list of licenses becomes the expression that all of them apply."""
    if isinstance(value, list):
        return " AND ".join(part for part in map(stated, value) if part)
    return value.strip() if isinstance(value, str) and is_unicode(value) else ""


def is_unicode(text: str) -> bool:
    """Whether a file can hold the text: JSON can carry lone surrogates, which UTF-8 cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
