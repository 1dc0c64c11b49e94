import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from trainer.pipeline.freshness import folder_of, reason_to_run
from trainer.pipeline.stage import bookkeeping, writing_stage


@dataclass(frozen=True)
class Config:
    seed: int = 1
    names: tuple[str, ...] = ("a",)


def make(work: Path, stage: str, config: Config, *reads: str) -> None:
    with writing_stage(config, work / stage, reads=[work / name for name in reads]):
        pass


@pytest.fixture
def work(tmp_path: Path) -> Path:
    make(tmp_path, "corpus", Config())
    make(tmp_path, "pairs", Config(), "corpus")
    return tmp_path


def test_a_finished_stage_with_the_same_config_and_inputs_need_not_run(work: Path) -> None:
    assert reason_to_run("pairs", Config(), work) is None


def test_a_stage_that_has_not_finished_runs(work: Path) -> None:
    assert reason_to_run("base", Config(), work) == "it has not finished yet"


def test_changed_fields_are_named_with_both_values(work: Path) -> None:
    reason = reason_to_run("pairs", Config(2, ("a", "b")), work)
    assert reason == 'its config has changed: names ["a"] -> ["a", "b"], seed 1 -> 2'


@dataclass(frozen=True)
class Nested:
    inner: Config = Config()
    seed: int = 1
    save_steps: int = bookkeeping(0)


@dataclass(frozen=True)
class Outer:
    training: Nested = Nested()


def test_bookkeeping_makes_no_output_outdated(tmp_path: Path) -> None:
    """How often a run saved is not in its weights, also in a config within another one."""
    with writing_stage(Outer(), tmp_path / "trained"):
        pass
    assert reason_to_run("trained", Outer(Nested(save_steps=5)), tmp_path) is None
    # A field that is newer than the record had its default.
    file = tmp_path / "trained" / "manifest.json"
    record = json.loads(file.read_text())
    del record["config"]["training"]["seed"]
    file.write_text(json.dumps(record | {"config_sha256": "of another version"}))
    assert reason_to_run("trained", Outer(), tmp_path) is None
    reason = reason_to_run("trained", Outer(Nested(seed=2, save_steps=5)), tmp_path)
    assert reason is not None
    assert "save_steps" not in reason


def test_an_input_that_changed_or_is_gone_is_named(work: Path) -> None:
    make(work, "corpus", Config(5))
    assert reason_to_run("pairs", Config(), work) == "its input corpus has changed"
    (work / "corpus" / "manifest.json").unlink()
    assert reason_to_run("pairs", Config(), work) == "its input corpus no longer exists"


def test_a_release_keeps_its_stages_record_in_its_own_manifest(work: Path) -> None:
    make(work, "publish", Config(), "pairs")
    record = json.loads((work / "publish" / "manifest.json").read_text())
    release = folder_of("publish", work)
    assert release.name == "release"
    release.mkdir()
    (release / "release.json").write_text(json.dumps({"training": {"publish": record}}))
    assert reason_to_run("publish", Config(), work) is None
    assert reason_to_run("publish", Config(2), work) == "its config has changed: seed 1 -> 2"


@dataclass(frozen=True)
class Source:
    name: str
    aspect: str = "aspect"


@dataclass(frozen=True)
class Grown:
    sources: tuple[Source, ...]
    criteria: tuple[str, ...] = ()


def test_fields_that_a_later_version_adds_leave_stages_fresh_also_within_lists(
    tmp_path: Path,
) -> None:
    config = Grown((Source("a"),))
    make(tmp_path, "pairs", config)  # type: ignore[arg-type]  # a config of another type
    manifest = json.loads((tmp_path / "pairs" / "manifest.json").read_text())
    manifest["config"] = {"sources": [{"name": "a"}]}
    manifest["config_sha256"] = "of an earlier version"
    (tmp_path / "pairs" / "manifest.json").write_text(json.dumps(manifest))
    assert reason_to_run("pairs", config, tmp_path) is None
    reason = reason_to_run("pairs", Grown((Source("a", "dimension"),), ("b",)), tmp_path)
    assert reason == (
        'its config has changed: criteria [] -> ["b"], sources [{"name": "a", "aspect": "aspect"}]'
        ' -> [{"name": "a", "aspect": "dimension"}]'
    )
