from dataclasses import dataclass
from pathlib import Path

import pytest

from trainer.pipeline.lineage import is_stage, lineage, training_pairs
from trainer.pipeline.stage import StageError, writing_stage


@dataclass(frozen=True)
class Config:
    seed: int = 1


def make(work: Path, stage: str, *reads: str, file: str = "data.txt", seed: int = 1) -> None:
    folders = [work / name for name in reads]
    with writing_stage(Config(seed), work / stage, reads=folders) as draft:
        (draft.path / file).write_text("x")


@pytest.fixture
def work(tmp_path: Path) -> Path:
    make(tmp_path, "corpus")
    make(tmp_path, "pairs", "corpus", file="train-00000.jsonl")
    make(tmp_path, "hard_pairs", "corpus", file="train-00000.jsonl")
    make(tmp_path, "pretrain", "pairs")
    make(tmp_path, "harden", "pretrain", "hard_pairs")
    return tmp_path


def test_sources_come_before_what_was_made_from_them(work: Path) -> None:
    stages = lineage(work, ["harden"])
    assert list(stages) == ["corpus", "pairs", "pretrain", "hard_pairs", "harden"]
    assert all(manifest["stage"] == stage for stage, manifest in stages.items())


def test_an_input_that_was_made_again_breaks_the_lineage(work: Path) -> None:
    make(work, "corpus", seed=2)
    with pytest.raises(StageError, match="corpus has changed since pairs read it: run pairs again"):
        lineage(work, ["harden"])


def test_pairs_of_every_checkpoint_on_the_way_were_trained_on(work: Path) -> None:
    assert training_pairs(work, "harden") == ["pairs", "hard_pairs"]
    assert training_pairs(work, "pretrain") == ["pairs"]


def test_only_a_finished_folder_of_this_run_is_a_stage(work: Path, tmp_path: Path) -> None:
    (work / "empty").mkdir()
    assert is_stage(work, "pairs")
    assert not is_stage(work, "empty")
    assert not is_stage(work / "elsewhere", str(work / "pairs"))
