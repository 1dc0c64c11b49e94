"""Times the steps of a transformers Trainer."""

import time
from typing import Any

import torch
from transformers import TrainerCallback


class Clock(TrainerCallback):
    """Seconds of each step but the first, in which a process warms up."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_step_end(self, *_: Any, **__: Any) -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.ends.append(time.perf_counter())

    @property
    def seconds(self) -> float:
        return (self.ends[-1] - self.ends[0]) / (len(self.ends) - 1)
