"""The weights of a run that has taken its last step, on disk before anything else uses them.

Evaluation, merge and export come later, and each may fail or be killed. A rerun goes on from here.
"""

import json
import shutil
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from trainer.training.loop import processes
from trainer.training.loop.checkpoints import Identity, folder_of, require_same_run

_WEIGHTS, _LOG = "model.safetensors", "log.json"


class FinishedRun:
    """The folder of a run's last weights, beside its checkpoints.

    Args:
        output: folder of the stage.
        only_adapters: keep only what LoRA trains; the rest is the start's.
    """

    def __init__(self, output: Path, identity: Identity, *, only_adapters: bool) -> None:
        self._folder = folder_of(output) / "finished"
        self.identity = identity
        self._only_adapters = only_adapters

    def exists(self) -> bool:
        """Whether the run's last step is behind it.

        Raises:
            StageError: the weights there are of a run that differs.
        """
        return require_same_run(self._folder, self.identity)

    def write(self, state: dict[str, Tensor], log: list[dict[str, Any]]) -> None:
        """Write weights and log; a folder that is cut short does not count."""
        draft = self._folder.with_name(".finished")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        if self._only_adapters:
            parts = ("lora_", ".modules_to_save.", "output")
            state = {n: t for n, t in state.items() if any(part in n for part in parts)}
        save_file({name: tensor.contiguous() for name, tensor in state.items()}, draft / _WEIGHTS)
        (draft / _LOG).write_text(json.dumps(log))
        self.identity.write(draft)
        shutil.rmtree(self._folder, ignore_errors=True)
        draft.replace(self._folder)

    def write_log(self, log: list[dict[str, Any]]) -> None:
        """Replace the log by one that has the last evaluation, too."""
        draft = self._folder / f".{_LOG}"
        draft.write_text(json.dumps(log))
        draft.replace(self._folder / _LOG)

    def read(self) -> tuple[dict[str, Tensor], list[dict[str, Any]]]:
        log: list[dict[str, Any]] = json.loads((self._folder / _LOG).read_text())
        return load_file(self._folder / _WEIGHTS), log

    def delete(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)


class WriteAfterLastStep(TrainerCallback):
    """Writes the weights right after the last step, before the evaluation that follows it."""

    def __init__(self, trainer: Trainer, finished: FinishedRun) -> None:
        self._trainer = trainer
        self._finished = finished

    def on_step_end(
        self,
        args: TrainingArguments,  # noqa: ARG002 - the signature is theirs
        state: TrainerState,
        control: TrainerControl,  # noqa: ARG002
        **_: Any,
    ) -> None:
        if state.global_step < state.max_steps:
            return
        assert self._trainer.model is not None
        # All processes take part in gathering the weights; only the main one gets them.
        weights = processes.whole_state(self._trainer.model)
        if processes.is_main():
            self._finished.write(weights, state.log_history)
