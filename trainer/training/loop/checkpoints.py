"""Checkpoints from which a killed run resumes, and from which other runs branch.

They lie beside the stage, in `STAGE-checkpoints/`, because a stage's own folder is whole or not
there. A checkpoint counts once it has a mark, which is written last and names its run.
"""

import dataclasses
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from trainer.pipeline.stage import Dataclass, StageError
from trainer.training.config import BOOKKEEPING, Branch, LoopConfig
from trainer.training.loop import processes
from trainer.training.loop.schedule import Schedule

_MARK = "complete.json"
# Fields in which a branch may differ from its run: they change nothing before the branch point.
_MAY_DIFFER = BOOKKEEPING | {
    *("max_steps", "num_train_epochs", "warmup_ratio", "decay_ratio"),
    *("branch_from", "branch_points"),
}


@dataclass(frozen=True)
class Identity:
    """The run of a checkpoint: its config, its inputs' hashes, its number of processes."""

    config: dict[str, Any]
    inputs: dict[str, str]
    processes: int

    @classmethod
    def of(cls, config: Dataclass, inputs: dict[str, str]) -> "Identity":
        plain = json.loads(json.dumps(dataclasses.asdict(config)))
        return cls(plain, inputs, processes.count())

    @classmethod
    def read(cls, checkpoint: Path) -> "Identity":
        return cls(**json.loads((checkpoint / _MARK).read_text()))

    def write(self, checkpoint: Path) -> None:
        """Mark a checkpoint as whole. The mark itself is there whole or not at all."""
        draft = checkpoint / f".{_MARK}"
        draft.write_text(json.dumps(dataclasses.asdict(self)) + "\n")
        draft.replace(checkpoint / _MARK)

    def differences(self, other: "Identity") -> list[str]:
        """Names of the fields that differ."""
        names = sorted(self.config.keys() | other.config.keys())
        found = [name for name in names if self.config.get(name) != other.config.get(name)]
        # A field that came after the other run began is empty where the run behaves as that one.
        found = [name for name in found if name in other.config or self.config[name]]
        found += ["its inputs"] if self.inputs != other.inputs else []
        return found + (["processes"] if self.processes != other.processes else [])


def folder_of(output: Path) -> Path:
    """The folder of the checkpoints of the stage at `output`."""
    return output.with_name(f"{output.name}-checkpoints")


def step_of(checkpoint: Path | None) -> int:
    """Optimizer steps that a checkpoint has behind it; 0 without one."""
    return 0 if checkpoint is None else int(checkpoint.name.rpartition("-")[2])


def complete(folder: Path) -> list[Path]:
    """Checkpoints that are whole, in the order of their steps."""
    return sorted((mark.parent for mark in folder.glob(f"checkpoint-*/{_MARK}")), key=step_of)


def to_resume(output: Path, identity: Identity) -> Path | None:
    """The newest whole checkpoint of a stage that was interrupted.

    Raises:
        StageError: it is of a run that differs.
    """
    newest = next(reversed(complete(folder_of(output))), None)
    if newest:
        require_same_run(newest, identity)
    return newest


def require_same_run(checkpoint: Path, identity: Identity) -> bool:
    """Whether there is a whole checkpoint, which must be of this run.

    Raises:
        StageError: it is of a run that differs.
    """
    if not (checkpoint / _MARK).is_file():
        return False
    differ = [n for n in identity.differences(Identity.read(checkpoint)) if n not in BOOKKEEPING]
    if differ:
        raise StageError(
            f"{checkpoint.parent} holds checkpoints of a run with other {', '.join(differ)}: "
            "delete it to start afresh, or go back to what that run was given"
        )
    return True


def to_branch(branch: Branch, inputs: Path, identity: Identity) -> Path:
    """The checkpoint that a branch begins with.

    Raises:
        StageError: there is none, or its run differs in more than its schedule.
    """
    folder = folder_of(inputs / branch.stage)
    checkpoint = folder / f"checkpoint-{branch.step}"
    if not (checkpoint / _MARK).is_file():
        steps = ", ".join(str(step_of(found)) for found in complete(folder))
        raise StageError(
            f"{branch.stage} has no checkpoint of step {branch.step}, but of {steps or 'none'}: "
            "branch from one of these, or run it with branch_points"
        )
    if differ := set(identity.differences(Identity.read(checkpoint))) - _MAY_DIFFER:
        raise StageError(
            f"a branch continues the run that it leaves, and {', '.join(sorted(differ))} of "
            f"{branch.stage} is another: give both the same"
        )
    return checkpoint


def clear(output: Path, schedule: Schedule, *, keep_branch_points: bool) -> None:
    """Delete checkpoints of a complete stage. Nothing is resumed; branch points may be kept."""
    folder = folder_of(output)
    kept = set(schedule.branch_points) if keep_branch_points else set()
    for checkpoint in folder.glob("checkpoint-*"):
        if step_of(checkpoint) not in kept:
            shutil.rmtree(checkpoint)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


class CheckpointKeeper(TrainerCallback):
    """Asks for checkpoints at branch points, marks what is whole, and deletes what is old."""

    def __init__(self, config: LoopConfig, schedule: Schedule, identity: Identity) -> None:
        self._keep = config.save_total_limit
        self._branch_points = set(schedule.branch_points) if config.branch_points else set[int]()
        self._identity = identity

    def on_step_end(
        self,
        args: TrainingArguments,  # noqa: ARG002 - the signature is theirs
        state: TrainerState,
        control: TrainerControl,
        **_: Any,
    ) -> None:
        control.should_save |= state.global_step in self._branch_points
        # A run resumed from the last step's checkpoint would take one step too many.
        control.should_save &= state.global_step < state.max_steps

    def on_save(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,  # noqa: ARG002
        **_: Any,
    ) -> None:
        processes.wait()  # until then, another process may not have written its part
        if not processes.is_main():
            return
        assert args.output_dir
        folder = Path(args.output_dir)
        self._identity.write(folder / f"checkpoint-{state.global_step}")
        newest = complete(folder)[-max(1, self._keep) :]
        # Deletes older ones, and what kills left half done.
        for other in folder.glob("checkpoint-*"):
            if other not in newest and step_of(other) not in self._branch_points:
                shutil.rmtree(other)
