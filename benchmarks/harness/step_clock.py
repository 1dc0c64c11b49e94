"""Times the steps of a transformers Trainer."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from transformers import Trainer, TrainerCallback


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


def time_arms(
    arms: Mapping[str, Callable[[], Trainer]], work: str, repeats: int
) -> dict[str, list[float]]:
    """Seconds a step of each turn of each arm; each leads in its turn.

    Args:
        arms: what makes each arm's trainer.
        work: its name for the progress lines.
    """
    seconds: dict[str, list[float]] = {name: [] for name in arms}
    for turn in range(repeats):
        for name in list(arms)[:: 1 if turn % 2 == 0 else -1]:
            print(f"{work}: {name}, turn {turn + 1} ...", flush=True)
            trainer = arms[name]()
            clock = Clock()
            trainer.add_callback(clock)
            trainer.train()
            seconds[name].append(clock.seconds)
    return seconds
