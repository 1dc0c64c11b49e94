"""A function of source code and its provenance: the rows that the corpus stage writes."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from trainer.pipeline.shards import read_shards, write_shards

_STEM = "snippets"


@dataclass(frozen=True)
class Snippet:
    """One function, or a whole short file of a language without a parser here.

    Attributes:
        id: the first 16 hexadecimal digits of the source's sha256.
        package: its repository or distribution, which is the unit of hold-out.
        license: as its source states it.
        path: path of its file.
        signature: name and arguments of a Python function; in other languages all that stands
            before the body; the path of a whole file.
        docstring: docstring, or the comment right above a function.
        source: a Python function is normalized by `ast.unparse`, without docstring and decorators;
            other code stays as it was written, less its indentation.
        sha256: hash of its file.
    """

    id: str
    package: str
    license: str
    path: str
    name: str
    signature: str
    docstring: str
    source: str
    language: str = "python"
    sha256: str = ""

    @property
    def is_method(self) -> bool:
        """Whether the first argument has a method's customary name."""
        return re.search(r"\((self|cls)\b", self.signature) is not None


def read_snippets(folder: Path) -> list[Snippet]:
    """Snippets of a finished corpus stage."""
    return read_shards(folder, _STEM, Snippet)


def write_snippets(folder: Path, snippets: Iterable[Snippet], size: int) -> None:
    """Write shards of at most `size` rows, one of them in memory at a time."""
    write_shards(folder, _STEM, snippets, size)
