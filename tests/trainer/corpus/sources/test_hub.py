import json
from collections import Counter
from pathlib import Path

import pytest

from trainer.corpus.sources.hub import DatasetSource
from trainer.corpus.sources.source import Columns

ROWS = [
    {"body": f"x = {n}", "path": f"f{n}.py", "repository": "r", "license": "" if n else "MIT"}
    for n in range(5)
]
SOURCE = DatasetSource("json", data_files=("rows.jsonl",), columns=Columns(text="body"))


@pytest.fixture
def work(tmp_path: Path) -> Path:
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return tmp_path


def test_files_are_relative_to_the_work_folder_and_rows_keep_their_order(work: Path) -> None:
    files = list(SOURCE.files(work, Counter()))
    assert [file.text for file in files] == [row["body"] for row in ROWS]


def test_a_dataset_is_read_no_further_than_asked(work: Path) -> None:
    source = DatasetSource(
        "json", data_files=("rows.jsonl",), columns=Columns(text="body"), max_rows=3
    )
    assert len(list(source.files(work, Counter()))) == 3


def test_the_license_of_the_source_is_that_of_rows_that_state_none(work: Path) -> None:
    source = DatasetSource(
        "json", data_files=("rows.jsonl",), columns=Columns(text="body"), license="ISC"
    )
    licenses = [file.license for file in source.files(work, Counter())]
    assert licenses == ["MIT", "ISC", "ISC", "ISC", "ISC"]
