"""The steps of a training run: taken from where it was, and what they leave behind deleted."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from torch import nn
from transformers import PreTrainedModel
from transformers.trainer_callback import ProgressCallback

from trainer.training.config import LoopConfig
from trainer.training.loop import checkpoints, processes
from trainer.training.loop.arguments import arguments, log_writers
from trainer.training.loop.checkpoints import CheckpointKeeper
from trainer.training.loop.finished import FinishedRun, WriteAfterLastStep
from trainer.training.loop.held_out import HeldOut, R
from trainer.training.loop.progress import TrainingBar
from trainer.training.loop.schedule import Schedule
from trainer.training.loop.trainer import PackedTrainer


def take_steps(
    config: LoopConfig,
    model: nn.Module,
    network: PreTrainedModel,
    rows: list[R],
    held_out: HeldOut[R] | None,
    collator: Callable[[list[R]], Mapping[str, object]],
    schedule: Schedule,
    finished: FinishedRun,
    inputs: Path,
    output: Path,
) -> None:
    """Take the steps that are left, and write the last weights and the log to `finished`.

    Args:
        network: the part of `model` that transformers made.
        collator: makes `{"batch": ...}` of rows.
    """
    evaluated = config if held_out else replace(config, eval_steps=0)
    trainer = PackedTrainer(
        config=config,
        model=model,
        args=arguments(evaluated, schedule, checkpoints.folder_of(output), network),
        train_dataset=rows,
        eval_dataset=held_out.rows if held_out else None,
        data_collator=collator,
        held_out=held_out,
    )
    if trainer.pop_callback(ProgressCallback):  # there is none where progress bars are disabled
        trainer.add_callback(TrainingBar())
    # A branch that was interrupted resumes its own checkpoint, not the one it branched from.
    checkpoint = checkpoints.to_resume(output, finished.identity)
    if checkpoint is None and (branch := config.branch_from):
        checkpoint = checkpoints.to_branch(branch, inputs, finished.identity)
    trainer.add_callback(CheckpointKeeper(config, schedule, finished.identity))
    trainer.add_callback(WriteAfterLastStep(trainer, finished))
    for writer in log_writers(config, output, checkpoints.step_of(checkpoint)):
        trainer.add_callback(writer)
    trainer.train(str(checkpoint) if checkpoint else None)
    if processes.is_main():
        finished.write_log(trainer.state.log_history)


def delete_progress(
    config: LoopConfig, finished: FinishedRun, schedule: Schedule, output: Path
) -> None:
    """Delete what an interrupted run would resume from, once the stage's folder is whole."""
    # Deleting earlier would lose the run if it were killed here.
    if processes.is_main():
        finished.delete()
        checkpoints.clear(output, schedule, keep_branch_points=config.branch_points)
    processes.wait()
