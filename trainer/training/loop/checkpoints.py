"""What a run that was killed resumes from, and what other runs branch from.

They lie beside the stage, in `STAGE-checkpoints/`, because a stage's own folder is whole or not
there. A checkpoint counts once it bears a mark, which is written last and says which run it is of.
"""

import dataclasses
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from trainer.pipeline.stage import Row, StageError
from trainer.training.config import Branch, TrainConfig
from trainer.training.loop import processes
from trainer.training.loop.schedule import Schedule

_MARK = "complete.json"
_MAY_DIFFER = frozenset(
    {
        *("max_steps", "num_train_epochs", "warmup_ratio", "decay_ratio"),
        *("branch_from", "branch_points", "save_steps", "save_total_limit"),
        *("eval_steps", "max_eval_samples", "logging_steps", "report_to"),
    }
)
"""In what a branch and the run it leaves may differ without being different runs until then."""


@dataclass(frozen=True)
class Identity:
    """Which run a checkpoint is of: its config, its inputs' hashes, its number of processes."""

    config: dict[str, Any]
    inputs: dict[str, str]
    processes: int

    @classmethod
    def of(cls, config: Row, inputs: dict[str, str]) -> "Identity":
        plain = json.loads(json.dumps(dataclasses.asdict(config)))
        return cls(plain, inputs, processes.count())

    def differences(self, other: "Identity") -> list[str]:
        """Names of what is not the same."""
        names = sorted(self.config.keys() | other.config.keys())
        found = [name for name in names if self.config.get(name) != other.config.get(name)]
        found += ["its inputs"] if self.inputs != other.inputs else []
        return found + (["processes"] if self.processes != other.processes else [])


def folder_of(output: Path) -> Path:
    """Where the checkpoints of the stage at `output` lie."""
    return output.with_name(f"{output.name}-checkpoints")


def to_resume(output: Path, identity: Identity) -> Path | None:
    """The newest whole checkpoint of a stage that was interrupted.

    Raises:
        StageError: it is of a run that differs.
    """
    folder = folder_of(output)
    newest = max(_complete(folder), key=_step, default=None)
    if newest and (differ := identity.differences(_read(newest))):
        raise StageError(
            f"{folder} holds checkpoints of a run with other {', '.join(differ)}: delete it to "
            "start afresh, or go back to what that run was given"
        )
    return newest


def to_branch(branch: Branch, inputs: Path, identity: Identity) -> Path:
    """The checkpoint that a branch begins with.

    Raises:
        StageError: there is none, or its run differs in more than its schedule.
    """
    folder = folder_of(inputs / branch.stage)
    checkpoint = folder / f"checkpoint-{branch.step}"
    if not (checkpoint / _MARK).is_file():
        steps = ", ".join(str(step) for step in sorted(map(_step, _complete(folder))))
        raise StageError(
            f"{branch.stage} has no checkpoint of step {branch.step}, but of {steps or 'none'}: "
            "branch from one of these, or run it with branch_points"
        )
    if differ := set(identity.differences(_read(checkpoint))) - _MAY_DIFFER:
        raise StageError(
            f"a branch goes on with the run it leaves, and {', '.join(sorted(differ))} of "
            f"{branch.stage} is another: give both the same"
        )
    return checkpoint


def clear(output: Path, schedule: Schedule, *, keep_branch_points: bool) -> None:
    """Once the stage is complete: nothing is resumed any more, branch points may be wanted."""
    folder = folder_of(output)
    kept = set(schedule.branch_points) if keep_branch_points else set()
    for checkpoint in folder.glob("checkpoint-*"):
        if _step(checkpoint) not in kept:
            shutil.rmtree(checkpoint)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


class Keeper(TrainerCallback):
    """Asks for checkpoints at branch points, marks what is whole, and deletes what is old."""

    def __init__(self, config: TrainConfig, schedule: Schedule, identity: Identity) -> None:
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
        """A checkpoint of the last step would be resumed with one step too many."""
        control.should_save |= state.global_step in self._branch_points
        control.should_save &= state.global_step < state.max_steps

    def on_save(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,  # noqa: ARG002
        **_: Any,
    ) -> None:
        processes.wait()  # until then, another may not have written its part
        if processes.is_main():
            assert args.output_dir
            self._mark(Path(args.output_dir) / f"checkpoint-{state.global_step}")
            self._prune(Path(args.output_dir))

    def _mark(self, checkpoint: Path) -> None:
        draft = checkpoint / f".{_MARK}"
        draft.write_text(json.dumps(dataclasses.asdict(self._identity)) + "\n")
        draft.replace(checkpoint / _MARK)

    def _prune(self, folder: Path) -> None:
        """Whole ones beyond the newest, and what kills left half done."""
        newest = sorted(_complete(folder), key=_step)[-max(1, self._keep) :]
        for checkpoint in folder.glob("checkpoint-*"):
            if checkpoint not in newest and _step(checkpoint) not in self._branch_points:
                shutil.rmtree(checkpoint)


def _complete(folder: Path) -> list[Path]:
    return [mark.parent for mark in folder.glob(f"checkpoint-*/{_MARK}")]


def _read(checkpoint: Path) -> Identity:
    return Identity(**json.loads((checkpoint / _MARK).read_text()))


def step_of(checkpoint: Path | None) -> int:
    """Steps that a checkpoint has behind it; 0 without one."""
    return 0 if checkpoint is None else _step(checkpoint)


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])
