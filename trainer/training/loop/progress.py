"""The progress bar of a run: steps and time left, loss, held-out accuracy, tokens per second."""

from typing import Any

from tqdm import tqdm
from transformers import TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import ProgressCallback

# Figures of the log by the names that the bar has room for.
_SHOWN = {
    "loss": "loss",
    "accuracy": "accuracy",
    "eval_accuracy": "held-out accuracy",
    "tokens_per_second": "tokens/s",
}


class TrainingBar(ProgressCallback):
    """transformers' bar with the newest figures of the log behind it."""

    def __init__(self) -> None:
        super().__init__()
        self._figures: dict[str, str] = {}

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **rest: Any,
    ) -> None:
        super().on_log(args, state, control, logs, **rest)  # type: ignore[no-untyped-call]
        newest = logs or {}
        for name, shown in _SHOWN.items():
            if name in newest:
                self._figures[shown] = f"{float(newest[name]):.4g}"
        bar: tqdm[int] | None = self.training_bar  # only the main process has one
        if bar is not None:
            bar.set_postfix(self._figures)
