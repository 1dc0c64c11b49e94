from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.pipeline.shards import read_shards, write_shards
from trainer.pipeline.stage import MANIFEST, StageError


@dataclass(frozen=True)
class Line:
    text: str


@given(st.lists(st.builds(Line, st.text()), max_size=20), st.integers(1, 7))
def test_rows_come_back_in_order_from_shards_of_the_given_size(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Line], size: int
) -> None:
    folder = tmp_path_factory.mktemp("stage")
    write_shards(folder, "rows", iter(rows), size)
    (folder / MANIFEST).write_text("{}")
    assert read_shards(folder, "rows", Line) == rows
    lengths = [len(file.read_bytes().splitlines()) for file in sorted(folder.glob("rows-*"))]
    assert all(length == size for length in lengths[:-1])
    assert len(lengths) == -(-len(rows) // size)


def test_an_unfinished_stage_has_no_rows(tmp_path: Path) -> None:
    write_shards(tmp_path, "rows", [Line("x")], 10)
    with pytest.raises(StageError, match="has no manifest"):
        read_shards(tmp_path, "rows", Line)
