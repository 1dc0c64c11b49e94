"""What every kind of source yields, and how rows of a table become that."""

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
        path: within its repository.
        license, language: as stated; empty where nothing is.
        rank: the lowest is kept of equal functions in one repository.
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
    """None for what cannot be read or is no UTF-8, which is counted."""
    try:
        return file.read_bytes().decode()
    except (UnicodeDecodeError, OSError):
        counts["no text"] += 1
        return None


class CodeSource(Protocol):
    """A frozen config that can be read."""

    def files(self, work: Path, counts: Counter[str]) -> Iterable[SourceFile]:
        """All files, one at a time; `counts` says why others could not be read.

        Args:
            work: what relative paths are relative to.

        Raises:
            StageError: the place is not there, or not what the config says.
        """


@dataclass(frozen=True)
class Columns:
    """Names of a table's columns.

    Attributes:
        repository: None where rows do not say it: then each file is a unit of hold-out of its own.
        license: text or a list of texts, all of which then apply.
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
        """A misspelt column is an error at the first row, not a count at the end."""
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
        """Of a table that says with its first row which columns it has."""
        for number, row in enumerate(rows):
            if number == 0:
                self.check(row, place)
            if file := self.file(row, default_license, counts):
                yield file

    def file(
        self, row: Mapping[str, object], default_license: str, counts: Counter[str]
    ) -> SourceFile | None:
        """`default_license` is that of rows that state none."""
        text, path = row.get(self.text), _stated(row.get(self.path))
        if not isinstance(text, str) or not _is_unicode(text):
            counts["no text"] += 1
            return None
        stated = _stated(row.get(self.license)) or default_license
        file = SourceFile(text, path, "", stated, _stated(row.get(self.language)))
        repository = path or file.sha256[:16]
        if self.repository is not None:
            repository = _stated(row.get(self.repository))
        if not repository:
            counts["no repository"] += 1
            return None
        return SourceFile(text, path, repository, stated, file.language)


THE_STACK = Columns(
    path="max_stars_repo_path",
    repository="max_stars_repo_name",
    license="max_stars_repo_licenses",
    language="lang",
)
GITHUB_CODE = Columns(text="code", repository="repo_name", license="license")
"""Those of two well-known datasets, bigcode/the-stack and codeparrot/github-code."""


def _stated(value: object) -> str:
    """A cell's text; of a list of licenses, the expression that says that all of them apply."""
    if isinstance(value, list):
        return " AND ".join(part for part in map(_stated, value) if part)
    return value.strip() if isinstance(value, str) and _is_unicode(value) else ""


def _is_unicode(text: str) -> bool:
    """Lone surrogates, which JSON can smuggle in, can be written to no file."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
