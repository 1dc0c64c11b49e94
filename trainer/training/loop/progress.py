"""The progress bar of a run: steps and time left, loss, held-out accuracy, tokens per second."""

from collections.abc import Sized
from typing import Any

from transformers import TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import ProgressCallback

from trainer.pipeline.progress import ProgressBar

# Figures of the log by the names that the bar has room for.
_SHOWN = {
    "loss": "loss",
    "accuracy": "accuracy",
    "eval_accuracy": "held-out accuracy",
    "tokens_per_second": "tokens/s",
}


class TrainingBar(ProgressCallback):
    """The bar with the newest figures of the log behind it; where there is no terminal, lines."""

    def __init__(self) -> None:
        super().__init__()
        self._figures: dict[str, str] = {}

    # Both without super(), which makes bars of its own.
    def on_train_begin(
        self,
        args: TrainingArguments,  # noqa: ARG002 - the signature is transformers'
        state: TrainerState,
        control: TrainerControl,  # noqa: ARG002
        **_: Any,
    ) -> None:
        self.current_step = 0
        if state.is_world_process_zero:
            bar = ProgressBar[int](
                desc="training", total=state.max_steps, unit=" steps", dynamic_ncols=True
            )
            self.training_bar = bar  # type: ignore[assignment]

    def on_prediction_step(
        self,
        args: TrainingArguments,  # noqa: ARG002
        state: TrainerState,
        control: TrainerControl,  # noqa: ARG002
        eval_dataloader: object = None,
        **_: Any,
    ) -> None:
        if state.is_world_process_zero and isinstance(eval_dataloader, Sized):
            known: Any = self.prediction_bar
            bar = known or ProgressBar[int](
                desc="held-out pairs",
                total=len(eval_dataloader),
                unit=" batches",
                leave=self.training_bar is None,
                dynamic_ncols=True,
            )
            bar.update()
            self.prediction_bar = bar  # type: ignore[assignment]

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
        bar: ProgressBar[int] | None = self.training_bar  # only the main process has one
        if bar is not None:
            bar.set_postfix(self._figures)
            if "eval_accuracy" in newest:
                bar.show()
