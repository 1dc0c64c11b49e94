"""The training log: terms of the loss, accuracy and speed, gathered from all processes."""

from time import perf_counter

from accelerate.utils import gather_object

from trainer.pairs.accuracy import accuracy
from trainer.training.objective.losses import TERMS, JointLoss


class Meter:
    """Collects micro-batches without waiting for the device; reads them when a line is due."""

    def __init__(self) -> None:
        self._losses: list[JointLoss] = []
        self._steps = 0
        self._tokens = 0
        self._began = 0.0

    def begin_step(self) -> None:
        if not self._steps:
            self._began = perf_counter()
        self._steps += 1

    def exclude(self, seconds: float) -> None:
        """Leave out time in which nothing was trained."""
        self._began += seconds

    def add(self, loss: JointLoss, tokens: int) -> None:
        """Add a micro-batch of this many tokens; its terms are parts of its step's."""
        self._tokens += tokens
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
        tokens = sum(gather_object([self._tokens]))
        sums = zip(TERMS, zip(*terms, strict=True), strict=True)
        found = {f"loss_{name}": sum(values) / self._steps for name, values in sums}
        found["tokens_per_second"] = round(tokens / (perf_counter() - self._began), 1)
        self._losses, self._steps, self._tokens = [], 0, 0
        return found | ({"accuracy": accuracy(gaps)} if gaps else {})
