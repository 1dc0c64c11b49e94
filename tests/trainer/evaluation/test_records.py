import gzip
import json
from dataclasses import dataclass
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from trainer.evaluation.records import files_of, read_records
from trainer.pipeline.stage import StageError


@dataclass(frozen=True)
class Row:
    name: str
    size: int


ROWS = [{"name": "a", "size": 1, "more": "?"}, {"name": "\u2028", "size": 2, "more": "?"}]


def test_every_way_of_writing_gives_the_same_rows(tmp_path: Path) -> None:
    lines = "\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS)
    (tmp_path / "a.jsonl").write_text(lines)
    (tmp_path / "b.json").write_text("\ufeff" + json.dumps(ROWS))
    (tmp_path / "c.txt.gz").write_bytes(gzip.compress(lines.encode()))
    parquet.write_table(pyarrow.Table.from_pylist(ROWS), tmp_path / "d.parquet")
    for file in files_of(tmp_path, ["*"]):
        assert read_records(file, Row) == [Row("a", 1), Row("\u2028", 2)]


def test_a_row_of_another_shape_says_what_is_missing_and_there(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"name": "secret", "length": 3}')
    with pytest.raises(StageError, match=r"row 1: size missing; it has: length, name") as found:
        read_records(tmp_path / "a.jsonl", Row)
    assert "secret" not in str(found.value)


def test_a_row_that_is_none_is_refused_with_its_place(tmp_path: Path) -> None:
    for line, reason in (("[1]", "not an object"), ("no json", "not JSON")):
        (tmp_path / "a.jsonl").write_text(json.dumps(ROWS[0]) + "\n" + line)
        with pytest.raises(StageError, match=rf"a\.jsonl, row 2: {reason}"):
            read_records(tmp_path / "a.jsonl", Row)


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StageError, match="no file is at"):
        files_of(tmp_path, ["*.csv"])
