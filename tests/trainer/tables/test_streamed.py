"""Rows of what `datasets` opens, and what is said of it when it cannot be read."""

from pathlib import Path

import pytest

from trainer.pipeline.stage import StageError
from trainer.tables.streamed import streamed

ROWS = '{"text": "a"}\n{"text": "b"}\n{"text": "c"}\n'


def test_rows_come_in_order_and_no_more_than_asked_for(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text(ROWS)
    assert [row["text"] for row in streamed("json", data_files=[str(file)])] == ["a", "b", "c"]
    few = streamed("json", data_files=[str(file)], max_rows=2)
    assert [row["text"] for row in few] == ["a", "b"]


def test_objects_have_no_members_that_their_row_lacks(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('{"turns": [{"role": "user"}, {"role": "tool", "id": "1"}]}')
    (row,) = streamed("json", data_files=[str(file)])
    assert row == {"turns": [{"role": "user"}, {"role": "tool", "id": "1"}]}


@pytest.mark.parametrize(
    ("name", "content"),
    [("gone.jsonl", None), ("cut.jsonl", '{"text": "a"}\n{"text": "secret'), ("cut.parquet", "x")],
)
def test_what_cannot_be_read_is_named_without_quoting_it(
    tmp_path: Path, name: str, content: str | None
) -> None:
    file = tmp_path / name
    if content is not None:
        file.write_text(content)
    kind = "json" if name.endswith("jsonl") else "parquet"
    with pytest.raises(StageError, match=f"the data set {kind} cannot be read") as refusal:
        list(streamed(kind, data_files=[str(file)]))
    assert "secret" not in str(refusal.value)
