"""When the learning rate rises and falls, and where a run may be branched."""

import math
from dataclasses import dataclass

from trainer.pipeline.stage import StageError
from trainer.training.config import TrainConfig

GROWTH = 2**0.25
"""From one branch point to the next: 1.1892, as the paper has it."""


@dataclass(frozen=True)
class Schedule:
    """In steps; `decay` is the end's, and 0 for a cosine, which falls all the way."""

    total: int
    warmup: int
    decay: int

    @property
    def branch_points(self) -> list[int]:
        """Steps of the stable phase, evenly spaced on a logarithmic scale (arXiv 2410.02229)."""
        points = set()
        step = float(max(1, self.warmup))
        while step <= self.total - self.decay:
            points.add(round(step))
            step *= GROWTH
        return sorted(points)


def schedule_of(config: TrainConfig, rows: int) -> Schedule:
    """The schedule of a run over so many rows.

    A branch leaves after the warm-up, so the one that it has itself changes nothing.
    """
    total = config.max_steps
    if total is None:
        total = max(1, round(math.ceil(rows / config.prompts_per_step) * config.num_train_epochs))
    if config.branch_from:
        return _branch(config, total)
    decay = (
        int(total * config.decay_ratio) if config.lr_scheduler_type == "warmup_stable_decay" else 0
    )
    return Schedule(total, int(total * config.warmup_ratio), decay)


def _branch(config: TrainConfig, total: int) -> Schedule:
    assert config.branch_from
    step = config.branch_from.step
    if config.lr_scheduler_type == "cosine":
        raise StageError(
            "a cosine has no stable phase to branch from: set lr_scheduler_type to "
            "warmup_stable_decay"
        )
    if total <= step:
        raise StageError(
            f"branch_from is step {step} and max_steps is {total}: set max_steps "
            "to where the branch ends"
        )
    return Schedule(total, min(step, int(total * config.warmup_ratio)), total - step)
