import json
from pathlib import Path

import pytest

from trainer.pipeline.stage import StageError
from trainer.preferences.files import Dataset, files_of

ROWS = [{"n": 1, "text": "zwölf"}, {"n": 2, "text": "[x]"}]


def test_a_dataset_may_be_a_folder(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text("\n".join(map(json.dumps, ROWS)))
    assert list(Dataset(str(tmp_path)).read()) == list(enumerate(ROWS, start=1))


def test_a_dataset_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StageError, match=r"the data set .*absent cannot be read"):
        list(Dataset(str(tmp_path / "absent")).read())


def test_a_folder_is_its_files_in_order(tmp_path: Path) -> None:
    for name in ("b.jsonl", "a.json", "notes.md"):
        (tmp_path / name).touch()
    assert [file.name for file in files_of(tmp_path)] == ["a.json", "b.jsonl"]


def test_an_empty_folder_or_none_says_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(StageError, match=r"no file that ends in \.json"):
        files_of(tmp_path)
    with pytest.raises(StageError, match="not there"):
        files_of(tmp_path / "absent")
