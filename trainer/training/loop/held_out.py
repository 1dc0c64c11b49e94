"""How well a model ranks held-out pairs while it is being trained."""

from collections import defaultdict
from dataclasses import dataclass

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import nn

from trainer.pairs.accuracy import accuracy
from trainer.pairs.encoded import EncodedRow
from trainer.training.objective.batches import Collator
from trainer.training.objective.losses import JointLoss

Outcome = tuple[str, float]
"""A pair's source and its difference of scores."""


@dataclass(frozen=True)
class HeldOut:
    """Held-out rows, which are ranked during training and never trained on.

    Attributes:
        batch_size: rows in a batch.
        bf16: whether matrix products are in bfloat16, as in training.
    """

    rows: list[EncodedRow]
    batch_size: int
    bf16: bool

    def measure(self, model: nn.Module, accelerator: Accelerator) -> dict[str, float]:
        """Accuracy over all pairs and, where there are several, by source; ties count half."""
        outcomes: list[Outcome] = gather_object(self._outcomes(model, accelerator))
        by_source: defaultdict[str, list[float]] = defaultdict(list)
        for source, difference in outcomes:
            by_source[source].append(difference)
        found = {"accuracy": accuracy([gap for _, gap in outcomes])}
        if len(by_source) > 1:
            found |= {f"accuracy_{name}": accuracy(gaps) for name, gaps in by_source.items()}
        return found

    def _outcomes(self, model: nn.Module, accelerator: Accelerator) -> list[Outcome]:
        """Outcomes of this process's share of the rows."""
        size = self.batch_size
        chunks = [self.rows[start : start + size] for start in range(0, len(self.rows), size)]
        outcomes: list[Outcome] = []
        model.eval()
        for start in range(0, len(chunks), accelerator.num_processes):
            own = start + accelerator.process_index
            # All processes run the same number of batches, because FSDP gathers the weights in each
            # of them. One that has no chunk left repeats the first and drops what it finds.
            rows = chunks[own] if own < len(chunks) else chunks[0]
            autocast = torch.autocast(accelerator.device.type, torch.bfloat16, enabled=self.bf16)
            with torch.no_grad(), autocast:
                loss: JointLoss = model(Collator().batch(rows))
            if own < len(chunks):
                sources = [row.source for row in rows for _ in row.rejected]
                outcomes += zip(sources, loss.differences.float().tolist(), strict=True)
        model.train()
        return outcomes
