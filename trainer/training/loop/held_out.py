"""How well a model ranks held-out pairs while it is being trained."""

import random
from collections import defaultdict
from collections.abc import Callable, Sized
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import nn

from trainer.pairs.accuracy import accuracy
from trainer.pipeline.stage import StageError
from trainer.training.config import LoopConfig
from trainer.training.loop import processes
from trainer.training.loop.schedule import Schedule
from trainer.training.objective.losses import JointLoss

GroupOutcome = tuple[str, float, dict[str, float]]
"""A pair's source, its difference of scores, and its other figures."""


class RankedRow(Protocol):
    """A row whose chosen answer is ranked against each of its rejected ones."""

    @property
    def source(self) -> str: ...

    @property
    def rejected(self) -> Sized: ...


R = TypeVar("R", bound=RankedRow)


@dataclass(frozen=True)
class HeldOut(Generic[R]):
    """Held-out rows, which are ranked during training and never trained on.

    Attributes:
        collate: makes a packed batch of some rows.
        batch_size: rows in a batch.
        bf16: whether matrix products are in bfloat16, as in training.
    """

    rows: list[R]
    collate: Callable[[list[R]], object]
    batch_size: int
    bf16: bool

    def measure(self, model: nn.Module, accelerator: Accelerator) -> dict[str, float]:
        """Accuracy over all pairs and, where there are several, by source; ties count half.

        The loss's other figures are averaged over all pairs.
        """
        outcomes: list[GroupOutcome] = gather_object(self._outcomes(model, accelerator))
        by_source: defaultdict[str, list[float]] = defaultdict(list)
        for source, difference, _ in outcomes:
            by_source[source].append(difference)
        found = {"accuracy": accuracy([gap for _, gap, _ in outcomes])}
        for name in outcomes[0][2]:
            found[name] = sum(figures[name] for *_, figures in outcomes) / len(outcomes)
        if len(by_source) > 1:
            found |= {f"accuracy_{name}": accuracy(gaps) for name, gaps in by_source.items()}
        return found

    def _outcomes(self, model: nn.Module, accelerator: Accelerator) -> list[GroupOutcome]:
        """Outcomes of this process's share of the rows."""
        size = self.batch_size
        chunks = [self.rows[start : start + size] for start in range(0, len(self.rows), size)]
        outcomes: list[GroupOutcome] = []
        model.eval()
        for start in range(0, len(chunks), accelerator.num_processes):
            own = start + accelerator.process_index
            # All processes run the same number of batches, because FSDP gathers the weights in each
            # of them. One that has no chunk left repeats the first and drops what it finds.
            rows = chunks[own] if own < len(chunks) else chunks[0]
            autocast = torch.autocast(accelerator.device.type, torch.bfloat16, enabled=self.bf16)
            with torch.no_grad(), autocast:
                loss: JointLoss = model(self.collate(rows))
            if own < len(chunks):
                sources = [row.source for row in rows for _ in range(len(row.rejected))]
                columns = [values.float().tolist() for values in loss.figures.values()]
                figures = [dict(zip(loss.figures, values, strict=True)) for values in zip(*columns)]  # noqa: B905
                gaps = loss.differences.float().tolist()
                outcomes += zip(sources, gaps, figures or [{} for _ in gaps], strict=True)
        model.train()
        return outcomes


def draw(config: LoopConfig, schedule: Schedule, rows: list[R]) -> list[R]:
    """Draw held-out rows at random, as many as one evaluation ranks."""
    wanted = config.max_eval_samples
    if config.eval_steps < 1:
        wanted = min(wanted, max(32, schedule.total * config.prompts_per_step // 20))
    return random.Random(config.seed).sample(rows, min(wanted, len(rows)))


def held_out_of(
    config: LoopConfig, kept: list[R], collate: Callable[[list[R]], object], *, any_drawn: bool
) -> HeldOut[R] | None:
    """The evaluation of drawn rows that can be ranked; None without any.

    Raises:
        StageError: evaluations are asked for at certain steps, and no row can be ranked.
    """
    if not kept:
        absent = "no held-out row fits into the model" if any_drawn else "nothing is held out"
        # A share is the default, which must not refuse stages that hold nothing out.
        if config.eval_steps >= 1:
            raise StageError(f"eval_steps is set and {absent}: set it to 0, or hold out")
        if processes.is_main():
            print(f"{absent}, so no accuracy is measured on the way", flush=True)
        return None
    # Without a backward pass 16 rows need less memory than one training step.
    return HeldOut(kept, collate, min(16, config.prompts_per_step), config.bf16)
