"""A piece of source code and where it came from: what the corpus stage writes."""

import re
from dataclasses import dataclass
from pathlib import Path

from trainer.stage import read_rows

SNIPPETS = "snippets.jsonl"


@dataclass(frozen=True)
class Snippet:
    """One function. `source` is normalised by `ast.unparse`, without docstring and decorators."""

    id: str
    package: str
    licence: str
    path: str
    name: str
    signature: str
    docstring: str
    source: str

    @property
    def is_method(self) -> bool:
        """Whether the first argument goes by a method's customary names."""
        return re.search(r"\((self|cls)\b", self.signature) is not None


def read_snippets(folder: Path) -> list[Snippet]:
    """Snippets of a finished corpus stage."""
    return read_rows(folder / SNIPPETS, Snippet)
