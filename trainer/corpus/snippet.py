"""A piece of source code and where it came from: what the corpus stage writes."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from trainer.pipeline.shards import write_shards
from trainer.pipeline.stage import read_manifest, read_rows


@dataclass(frozen=True)
class Snippet:
    """One function, or a whole short file of a language that nothing here cuts into functions.

    Attributes:
        package: its repository or distribution: the unit of hold-out.
        license: as its source states it.
        path: of its file.
        signature: of a Python function its name and arguments, otherwise all that stands before
            its body; of a whole file its path.
        docstring: or the comment right above it.
        source: a Python function is normalised by `ast.unparse`, without docstring and decorators;
            anything else is as it was written, less its indentation.
        sha256: of its file; empty in a corpus that was made before this was kept.
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
        """Whether the first argument goes by a method's customary names."""
        return re.search(r"\((self|cls)\b", self.signature) is not None


def read_snippets(folder: Path) -> list[Snippet]:
    """Snippets of a finished corpus stage, whether in shards or, as they once were, in one file."""
    read_manifest(folder)
    shards = sorted(folder.glob("snippets*.jsonl"))
    return [snippet for shard in shards for snippet in read_rows(shard, Snippet)]


def write_snippets(folder: Path, snippets: Iterable[Snippet], size: int) -> None:
    """Shards of at most `size` rows, one of them in memory at a time."""
    write_shards(folder, "snippets", snippets, size)
