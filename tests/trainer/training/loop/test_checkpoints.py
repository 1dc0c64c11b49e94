"""A run that was killed goes on as if it had not been; one that differs is not mixed up with it."""

import json
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from torch.optim.optimizer import register_optimizer_step_post_hook
from transformers import TrainerControl, TrainerState, TrainingArguments

from tests.trainer.training.stages import (
    ROOT,
    command,
    environment,
    make_pairs,
    make_work,
    rows,
    weights,
)
from trainer.pairs.criteria import NamedCriterion
from trainer.pipeline.stage import StageError, read_manifest
from trainer.training import pretrain
from trainer.training.config import LoraAdapters, TrainConfig
from trainer.training.loop import checkpoints
from trainer.training.loop.checkpoints import Identity, folder_of
from trainer.training.loop.schedule import Schedule
from trainer.training.pretrain import PretrainConfig

CONFIG = PretrainConfig(
    start="base",
    max_steps=40,
    prompts_per_step=4,
    learning_rate=1e-3,
    bf16=False,
    save_steps=2,
    logging_steps=7,
)


def killed(config: PretrainConfig, work: Path, name: str, checkpoint: str) -> None:
    """Run a stage in a process of its own, and kill it once that checkpoint is whole."""
    process = subprocess.Popen(
        [sys.executable, *command(config, work, name)],
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    mark = folder_of(work / name) / checkpoint / "complete.json"
    deadline = time.monotonic() + 600
    while not mark.exists():
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()


@pytest.mark.parametrize(
    "config",
    [
        replace(CONFIG, optimizer="muon"),
        replace(CONFIG, optimizer="adamw"),
        replace(CONFIG, optimizer="adamw", lora=LoraAdapters(r=4)),
    ],
    ids=["muon", "adamw", "adapters"],
)
def test_a_killed_run_ends_with_the_same_weights(tmp_path: Path, config: PretrainConfig) -> None:
    work = make_work(tmp_path)
    killed(config, work, "killed", f"checkpoint-{random.randrange(2, 20, 2)}")
    assert not (work / "killed").exists()
    assert folder_of(work / "killed").is_dir()
    pretrain.run(config, work, work / "killed")
    pretrain.run(config, work, work / "undisturbed")
    left, right = weights(work / "killed"), weights(work / "undisturbed")
    assert left.keys() == right.keys()
    assert all(left[name].equal(right[name]) for name in left)
    steps = [
        [line["step"] for line in read_manifest(work / name)["log"]]
        for name in ("killed", "undisturbed")
    ]
    assert steps[0] == steps[1]
    assert not folder_of(work / "killed").exists()
    assert list((work / "logs" / "killed").iterdir())


@pytest.mark.parametrize("lora", [None, LoraAdapters(r=4)])
def test_a_run_that_was_killed_after_its_last_step_does_not_train_again(
    tmp_path: Path, lora: LoraAdapters | None, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its weights are on disk before they are evaluated, merged or exported."""
    config = replace(CONFIG, max_steps=4, optimizer="adamw", lora=lora)
    work = make_work(tmp_path)
    pretrain.run(config, work, work / "undisturbed")
    killed(config, work, "killed", "finished")
    while (work / "killed").exists():  # it was through before the kill arrived
        shutil.rmtree(work / "killed")
        killed(config, work, "killed", "finished")
    steps = 0

    def count(*_: object) -> None:
        nonlocal steps
        steps += 1

    hook = register_optimizer_step_post_hook(count)
    pretrain.run(replace(config, logging_steps=3), work, work / "killed")
    hook.remove()
    assert steps == 0
    assert "only the export is not" in capsys.readouterr().out
    left, right = weights(work / "killed"), weights(work / "undisturbed")
    assert all(left[name].equal(right[name]) for name in left)
    assert read_manifest(work / "killed")["steps"] == 4
    assert not folder_of(work / "killed").exists()


def interrupted(work: Path, config: TrainConfig, step: int) -> Path:
    """A whole checkpoint, as far as what is asked of it here goes."""
    checkpoint = folder_of(work / "stage") / f"checkpoint-{step}"
    checkpoint.mkdir(parents=True)
    identity(config).write(checkpoint)
    return checkpoint


def identity(config: TrainConfig, digest: str = "abc") -> Identity:
    return Identity.of(config, {"pairs": digest})


def test_another_prompt_of_a_criterion_is_another_run_and_a_field_of_a_later_version_is_not(
    tmp_path: Path,
) -> None:
    checkpoint = interrupted(tmp_path, CONFIG, 8)
    mark = checkpoint / "complete.json"
    record = json.loads(mark.read_text())
    del record["config"]["criteria"]
    mark.write_text(json.dumps(record))
    assert checkpoints.to_resume(tmp_path / "stage", identity(CONFIG)) == checkpoint
    judged = replace(CONFIG, criteria=(NamedCriterion("taste", "Judge it."),))
    with pytest.raises(StageError, match="a run with other criteria: delete it"):
        checkpoints.to_resume(tmp_path / "stage", identity(judged))


def test_the_newest_whole_checkpoint_counts(tmp_path: Path) -> None:
    for step in (8, 10, 9):
        interrupted(tmp_path, CONFIG, step)
    (folder_of(tmp_path / "stage") / "checkpoint-12").mkdir()  # killed while it was being written
    found = checkpoints.to_resume(tmp_path / "stage", identity(CONFIG))
    assert found is not None
    assert found.name == "checkpoint-10"
    assert checkpoints.to_resume(tmp_path / "other", identity(CONFIG)) is None


def test_another_runs_checkpoint_is_refused_by_what_differs(tmp_path: Path) -> None:
    interrupted(tmp_path, CONFIG, 8)
    other = replace(CONFIG, learning_rate=0.5, seed=7)
    with pytest.raises(StageError, match="other learning_rate, seed: delete it"):
        checkpoints.to_resume(tmp_path / "stage", identity(other))
    saved_oftener = replace(CONFIG, save_steps=1, logging_steps=3, report_to="none")
    assert checkpoints.to_resume(tmp_path / "stage", identity(saved_oftener)) is not None
    with pytest.raises(StageError, match="other its inputs"):
        checkpoints.to_resume(tmp_path / "stage", identity(CONFIG, "changed"))


def test_a_save_leaves_the_newest_and_the_branch_points(tmp_path: Path) -> None:
    config = replace(CONFIG, save_total_limit=2, branch_points=True)
    for step in (8, 9, 12, 15):  # of which 8 is a branch point
        interrupted(tmp_path, config, step)
    folder = folder_of(tmp_path / "stage")
    (folder / "checkpoint-17").mkdir()  # killed while it was being written
    (folder / "checkpoint-18").mkdir()
    keeper = checkpoints.CheckpointKeeper(config, Schedule(60, 1, 10), identity(config))
    arguments = TrainingArguments(str(folder), report_to="none")
    keeper.on_save(arguments, TrainerState(global_step=18), TrainerControl())
    kept = {checkpoint.name for checkpoint in folder.iterdir()}
    assert kept == {"checkpoint-8", "checkpoint-15", "checkpoint-18"}


def test_the_complete_stage_leaves_its_branch_points(tmp_path: Path) -> None:
    config = replace(
        CONFIG,
        max_steps=12,
        warmup_ratio=0.17,
        decay_ratio=0.0,
        branch_points=True,
        save_total_limit=1,
    )
    work = make_work(tmp_path)
    pretrain.run(config, work, work / "stage")
    kept = sorted(int(p.name.split("-")[1]) for p in folder_of(work / "stage").iterdir())
    assert kept == [2, 3, 4, 5, 6, 7, 8, 10, 11]


def test_pairs_that_changed_since_the_kill_are_refused(tmp_path: Path) -> None:
    work = make_work(tmp_path)
    killed(CONFIG, work, "stage", "checkpoint-2")
    make_pairs(work / "pairs", rows(8))
    with pytest.raises(StageError, match="its inputs"):
        pretrain.run(CONFIG, work, work / "stage")
