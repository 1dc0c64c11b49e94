import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from trainer.pipeline.stage import (
    MANIFEST,
    StageError,
    commit,
    config_hash,
    manifest_hash,
    read_manifest,
    read_rows,
    write_rows,
    writing_stage,
)


@dataclass(frozen=True)
class Config:
    seed: int = 1


@dataclass(frozen=True)
class Nested:
    configs: tuple[Config, ...]


def make(folder: Path, *, seed: int = 1, reads: list[Path] | None = None) -> None:
    with writing_stage(Config(seed), folder, reads=reads or []) as draft:
        (draft.path / "data.txt").write_text(str(seed))
        draft.facts["rows"] = seed


def test_the_manifest_holds_config_inputs_files_and_facts(tmp_path: Path) -> None:
    make(tmp_path / "first")
    make(tmp_path / "second", seed=2, reads=[tmp_path / "first"])
    manifest = read_manifest(tmp_path / "second")
    assert (manifest["stage"], manifest["config"], manifest["rows"]) == ("second", {"seed": 2}, 2)
    assert manifest["config_sha256"] == config_hash(Config(2)) != config_hash(Config(1))
    assert manifest["inputs"] == {"first": manifest_hash(tmp_path / "first")}
    assert manifest["files"].keys() == {"data.txt"}


def test_a_failure_leaves_the_earlier_output_as_it_was(tmp_path: Path) -> None:
    make(tmp_path / "stage")
    with pytest.raises(FileNotFoundError), writing_stage(Config(2), tmp_path / "stage") as draft:
        (draft.path / "no folder" / "data.txt").write_text("half")
    assert (tmp_path / "stage" / "data.txt").read_text() == "1"
    make(tmp_path / "stage", seed=3)
    assert {file.name for file in (tmp_path / "stage").iterdir()} == {"data.txt", MANIFEST}
    assert [folder.name for folder in tmp_path.iterdir()] == ["stage"]


def test_a_stage_that_reads_an_unfinished_one_does_not_start(tmp_path: Path) -> None:
    (tmp_path / "first").mkdir()
    with pytest.raises(StageError, match="run `python -m trainer first` first"):
        make(tmp_path / "second", reads=[tmp_path / "first"])
    assert not (tmp_path / ".second.partial").exists()


def test_rows_become_what_they_were(tmp_path: Path) -> None:
    rows = [Nested((Config(1), Config(2))), Nested(())]
    write_rows(tmp_path / "rows.jsonl", rows)
    (tmp_path / MANIFEST).write_text("{}")
    assert read_rows(tmp_path / "rows.jsonl", Nested) == rows


def test_any_change_of_a_manifest_is_another_identity(tmp_path: Path) -> None:
    make(tmp_path / "stage")
    before = manifest_hash(tmp_path / "stage")
    file = tmp_path / "stage" / MANIFEST
    file.write_text(json.dumps(json.loads(file.read_text()) | {"rows": 5}))
    assert manifest_hash(tmp_path / "stage") != before


def test_the_commit_is_a_whole_hash_where_there_is_a_checkout() -> None:
    found = commit()
    assert found is None or len(found.removesuffix("-dirty")) == 40
