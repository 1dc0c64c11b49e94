"""How well a model ranks held-out pairs while it is being trained."""

from collections import defaultdict
from dataclasses import dataclass

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import nn

from trainer.pairs.accuracy import accuracy
from trainer.pairs.row import PreferenceRow
from trainer.training.objective.batches import Collator
from trainer.training.objective.loss import JointLoss

Outcome = tuple[str, float]
"""A pair's source and its difference of scores."""


@dataclass(frozen=True)
class HeldOut:
    """Rows that are only ranked.

    Attributes:
        at_once: rows in a batch.
        bf16: as in training.
    """

    rows: list[PreferenceRow]
    collator: Collator
    at_once: int
    bf16: bool

    def measure(self, model: nn.Module, accelerator: Accelerator) -> dict[str, float]:
        """Accuracy over all pairs and, where there are several, by source; ties count half."""
        by_source: defaultdict[str, list[float]] = defaultdict(list)
        outcomes: list[Outcome] = gather_object(self._own(model, accelerator))
        for source, difference in outcomes:
            by_source[source].append(difference)
        found = {"accuracy": accuracy([gap for _, gap in outcomes])}
        if len(by_source) > 1:
            found |= {f"accuracy_{name}": accuracy(gaps) for name, gaps in by_source.items()}
        return found

    def _own(self, model: nn.Module, accelerator: Accelerator) -> list[Outcome]:
        """This process's share. All run as many batches: FSDP gathers weights in each of them."""
        chunks = [self.rows[i : i + self.at_once] for i in range(0, len(self.rows), self.at_once)]
        rank, world = accelerator.process_index, accelerator.num_processes
        outcomes: list[Outcome] = []
        for start in range(0, len(chunks), world):
            own = start + rank
            rows = chunks[own] if own < len(chunks) else chunks[0]
            found = self._rank(model, rows, accelerator)
            outcomes += found if own < len(chunks) else []
        return outcomes

    def _rank(
        self, model: nn.Module, rows: list[PreferenceRow], accelerator: Accelerator
    ) -> list[Outcome]:
        batch = self.collator.batch(rows)
        autocast = torch.autocast(accelerator.device.type, torch.bfloat16, enabled=self.bf16)
        model.eval()
        with torch.no_grad(), autocast:
            loss: JointLoss = model(batch)
        model.train()
        sources = [row.source for row in rows for _ in row.rejected]
        return list(zip(sources, loss.differences.float().tolist(), strict=True))
