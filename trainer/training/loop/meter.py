"""What a run logs: terms of the loss and accuracy, gathered example by example before any mean."""

from accelerate.utils import gather_object
from torch import Tensor

from trainer.pairs.accuracy import accuracy
from trainer.training.objective.loss import JointLoss

_TERMS = ("rank", "lm", "tokens", "centring")


class Meter:
    """Collects micro-batches without waiting for the device; reads them when a line is due."""

    def __init__(self) -> None:
        self._terms: list[list[Tensor]] = []
        self._differences: list[Tensor] = []
        self._steps = 0

    def begin_step(self) -> None:
        self._steps += 1

    def add(self, loss: JointLoss) -> None:
        """A micro-batch's terms, which are parts of its step's."""
        self._terms.append([getattr(loss, name).detach().float() for name in _TERMS])
        self._differences.append(loss.differences.detach().float())

    def take(self) -> dict[str, float]:
        """Means over all steps and processes since the last call; nothing when there were none."""
        if not self._steps:
            return {}
        own = [[float(value) for value in terms] for terms in self._terms]
        gaps = [gap for differences in self._differences for gap in differences.tolist()]
        terms, gaps = gather_object(own), gather_object(gaps)
        sums = zip(_TERMS, zip(*terms, strict=True), strict=True)
        found = {f"loss_{name}": sum(values) / self._steps for name, values in sums}
        self._terms, self._differences, self._steps = [], [], 0
        return found | ({"accuracy": accuracy(gaps)} if gaps else {})
