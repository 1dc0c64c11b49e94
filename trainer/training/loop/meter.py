"""The training log: terms of the loss and accuracy, gathered pair by pair before any mean."""

from accelerate.utils import gather_object

from trainer.pairs.accuracy import accuracy
from trainer.training.objective.losses import TERMS, JointLoss


class Meter:
    """Collects micro-batches without waiting for the device; reads them when a line is due."""

    def __init__(self) -> None:
        self._losses: list[JointLoss] = []
        self._steps = 0

    def begin_step(self) -> None:
        self._steps += 1

    def add(self, loss: JointLoss) -> None:
        """Add a micro-batch; its terms are parts of its step's."""
        terms = {name: value.detach().float() for name, value in loss.terms.items()}
        self._losses.append(JointLoss(terms, loss.differences.detach().float()))

    def take(self) -> dict[str, float]:
        """Means over all steps and processes since the last call; nothing without a step."""
        if not self._steps:
            return {}
        # Reading a value waits for the device. Gathered as lists, processes may differ in length.
        terms = [[float(loss.terms[name]) for name in TERMS] for loss in self._losses]
        gaps = [gap for loss in self._losses for gap in loss.differences.tolist()]
        terms, gaps = gather_object(terms), gather_object(gaps)
        sums = zip(TERMS, zip(*terms, strict=True), strict=True)
        found = {f"loss_{name}": sum(values) / self._steps for name, values in sums}
        self._losses, self._steps = [], 0
        return found | ({"accuracy": accuracy(gaps)} if gaps else {})
