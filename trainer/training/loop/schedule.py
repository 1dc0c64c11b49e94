"""The schedule of the learning rate, and the steps at which a run may be branched."""

import math
from dataclasses import dataclass

from trainer.pipeline.stage import StageError
from trainer.training.config import LoopConfig

# Ratio of two branch points in a row: 1.1892, as in the paper (arXiv 2410.02229).
GROWTH = 2**0.25


@dataclass(frozen=True)
class Schedule:
    """Phases in steps; `decay` is 0 for a cosine, which falls all the way."""

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


def schedule_of(config: LoopConfig, rows: int) -> Schedule:
    """The schedule of a run over this many rows.

    Raises:
        StageError: the run is a branch, and its schedule cannot be one.
    """
    total = config.max_steps
    if total is None:
        total = max(1, round(math.ceil(rows / config.prompts_per_step) * config.num_train_epochs))
    warmup = int(total * config.warmup_ratio)
    if config.branch_from is None:
        is_cosine = config.lr_scheduler_type == "cosine"
        return Schedule(total, warmup, 0 if is_cosine else int(total * config.decay_ratio))
    step = config.branch_from.step
    if config.lr_scheduler_type == "cosine":
        raise StageError(
            "a cosine has no stable phase to branch from: set lr_scheduler_type to "
            "warmup_stable_decay"
        )
    if total <= step:
        raise StageError(
            f"branch_from is step {step} and max_steps is {total}: set max_steps to where the "
            "branch ends"
        )
    # A branch leaves after the source run's warm-up, so its own has no effect.
    return Schedule(total, min(step, warmup), total - step)
