"""Every kind of table yields the same rows, and none is lost without being counted."""

import gzip
import json
from collections import Counter
from pathlib import Path

import pytest
from pyarrow import Table
from pyarrow.parquet import write_table

from trainer.corpus.sources import AnySource, DatasetSource, JsonLinesSource, ParquetSource
from trainer.corpus.sources.source import Columns, SourceFile
from trainer.pipeline.stage import StageError

ROWS = [
    {"content": f"x = {n}\n", "path": f"f{n}.py", "repository": f"r{n % 3}", "license": "MIT"}
    for n in range(7)
]
TABLES: list[AnySource] = [
    JsonLinesSource("rows.jsonl"),
    JsonLinesSource("ro*.jsonl.gz"),
    ParquetSource("*.parquet"),
    DatasetSource("json", data_files=("rows.jsonl",)),
    DatasetSource("parquet", data_files=("one.parquet", "two.parquet")),
]


@pytest.fixture
def work(tmp_path: Path) -> Path:
    lines = "".join(json.dumps(row) + "\n" for row in ROWS)
    (tmp_path / "rows.jsonl").write_text(lines)
    (tmp_path / "rows.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    write_table(Table.from_pylist(ROWS[:4]), tmp_path / "one.parquet")
    write_table(Table.from_pylist(ROWS[4:]), tmp_path / "two.parquet")
    return tmp_path


def read(source: AnySource, work: Path) -> list[SourceFile]:
    counts: Counter[str] = Counter()
    found = list(source.files(work, counts))
    assert not counts
    return found


@pytest.mark.parametrize("source", TABLES, ids=["jsonl", "gz", "parquet", "hf-json", "hf-parquet"])
def test_every_row_comes_out(source: AnySource, work: Path) -> None:
    assert read(source, work) == [
        SourceFile(row["content"], row["path"], row["repository"], "MIT") for row in ROWS
    ]


@pytest.mark.parametrize(
    "source",
    [
        JsonLinesSource("rows.jsonl", Columns(text="body")),
        ParquetSource("one.parquet", Columns(text="body")),
        DatasetSource("json", data_files=("rows.jsonl",), columns=Columns(text="body")),
    ],
    ids=lambda source: str(source.kind),
)
def test_a_misspelt_column_is_an_error(source: AnySource, work: Path) -> None:
    with pytest.raises(StageError, match="no column body"):
        read(source, work)


@pytest.mark.parametrize(
    "source",
    [
        JsonLinesSource("gone.jsonl"),
        ParquetSource("gone/*.parquet"),
        DatasetSource("json", data_files=("gone.jsonl",)),
    ],
    ids=lambda source: str(source.kind),
)
def test_a_place_that_is_not_there_is_named(source: AnySource, work: Path) -> None:
    with pytest.raises(StageError, match="gone"):
        read(source, work)


def test_what_is_no_parquet_is_said_to_be_none(work: Path) -> None:
    with pytest.raises(StageError, match="as Parquet"):
        read(ParquetSource("rows.jsonl"), work)


def test_broken_lines_are_counted_and_blank_ones_are_nothing(tmp_path: Path) -> None:
    lines = [json.dumps(ROWS[0]), "", "{", "[1]", "[" * 100_000, '"\xff']
    (tmp_path / "rows.jsonl").write_bytes("\n".join(lines).encode("latin-1"))
    counts: Counter[str] = Counter()
    assert len(list(JsonLinesSource("rows.jsonl").files(tmp_path, counts))) == 1
    assert counts == {"not a JSON object": 4}


@pytest.mark.parametrize(
    "damaged", ["<html>moved</html>", "[1, 2", '[1]\n{"a": '], ids=["html", "cut array", "lines"]
)
def test_a_damaged_file_among_many_is_counted_and_the_others_are_read(
    work: Path, damaged: str
) -> None:
    (work / "a.jsonl").write_text(damaged)
    counts: Counter[str] = Counter()
    files = list(JsonLinesSource("*.jsonl").files(work, counts))
    assert len(files) == len(ROWS)
    assert counts == {"not a JSON object": len(damaged.splitlines())}
