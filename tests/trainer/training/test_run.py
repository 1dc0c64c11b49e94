"""Whole runs on a tiny model, in float32: one way of running is as good as another."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from tests.checkpoints import TEMPLATE, make_tokenizer
from tests.trainer.training.stages import make_work, weights
from trainer.pipeline.stage import StageError, read_manifest
from trainer.training import pretrain
from trainer.training.config import Branch
from trainer.training.loop.checkpoints import folder_of
from trainer.training.pretrain import PretrainConfig

CONFIG = PretrainConfig(
    start="base",
    max_steps=6,
    prompts_per_step=4,
    learning_rate=3e-3,
    optimizer="adamw",
    warmup_ratio=0.34,
    bf16=False,
    logging_steps=2,
    report_to="none",
)


@pytest.fixture
def work(tmp_path: Path) -> Path:
    return make_work(tmp_path)


def run(config: PretrainConfig, work: Path, name: str) -> Path:
    pretrain.run(config, work, work / name)
    return work / name


def gap(one: Path, other: Path) -> float:
    left, right = weights(one), weights(other)
    assert left.keys() == right.keys()
    return max(float((left[name].float() - right[name].float()).abs().max()) for name in left)


def test_a_template_that_asks_for_the_day_is_told_one_date_which_the_manifest_keeps(
    work: Path,
) -> None:
    assert read_manifest(run(CONFIG, work, "undated"))["template_date"] is None
    tokenizer = make_tokenizer(template="{{ strftime_now('%d %B %Y') }}" + TEMPLATE)
    tokenizer.save_pretrained(work / "base")
    first, second = (read_manifest(run(CONFIG, work, name)) for name in ("one", "two"))
    assert date.fromisoformat(first["template_date"]) < date(2026, 1, 1), "not the day of the run"
    assert first["template_date"] == second["template_date"]


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_branch_is_the_run_that_had_decayed_from_there(work: Path, optimizer: str) -> None:
    trunk = replace(CONFIG, max_steps=8, warmup_ratio=0.25, decay_ratio=0.0, branch_points=True)
    trunk = replace(trunk, optimizer=optimizer)  # type: ignore[arg-type]  # one of the two
    run(trunk, work, "trunk")
    assert (work / "trunk-checkpoints" / "checkpoint-3").is_dir()
    branch = replace(trunk, max_steps=6, branch_from=Branch("trunk", 3), branch_points=False)
    branched = run(branch, work, "branch")
    straight = run(
        replace(trunk, max_steps=6, warmup_ratio=0.34, decay_ratio=0.5), work, "straight"
    )
    assert gap(branched, straight) == 0
    assert not folder_of(branched).exists()


def test_a_branch_of_another_run_is_refused(work: Path) -> None:
    trunk = replace(CONFIG, decay_ratio=0.0, branch_points=True)
    run(trunk, work, "trunk")
    with pytest.raises(StageError, match="no checkpoint of step 77, but of 2, 3"):
        run(replace(trunk, max_steps=99, branch_from=Branch("trunk", 77)), work, "branch")
    branch = replace(trunk, max_steps=9, learning_rate=1.0, branch_from=Branch("trunk", 2))
    with pytest.raises(StageError, match="learning_rate of trunk is another"):
        run(branch, work, "branch")
