"""The training log: terms of the loss, accuracy and speed, gathered from all processes."""

from time import perf_counter

from accelerate.utils import gather_object

from trainer.pairs.accuracy import accuracy
from trainer.training.objective.losses import JointLoss


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
        terms, figures = (
            {name: value.detach().float() for name, value in values.items()}
            for values in (loss.terms, loss.figures)
        )
        differences = loss.differences.detach().float()
        self._losses.append(JointLoss(loss.total.detach(), terms, differences, figures))

    def take(self) -> dict[str, float]:
        """Means over all steps and processes since the last call; nothing without a step."""
        if not self._steps:
            return {}
        # Reading a value waits for the device. Gathered as lists, processes may differ in length.
        losses = [
            {
                "terms": [float(value) for value in loss.terms.values()],
                "gaps": loss.differences.tolist(),
                "figures": [values.tolist() for values in loss.figures.values()],
            }
            for loss in self._losses
        ]
        losses = gather_object(losses)
        tokens = sum(gather_object([self._tokens]))
        sums = zip(*(loss["terms"] for loss in losses), strict=True)
        names = self._losses[0].terms
        found = {f"loss_{n}": sum(values) / self._steps for n, values in zip(names, sums)}  # noqa: B905
        gaps = [gap for loss in losses for gap in loss["gaps"]]
        if gaps:
            found["accuracy"] = accuracy(gaps)
            for index, name in enumerate(self._losses[0].figures):
                found[name] = sum(sum(loss["figures"][index]) for loss in losses) / len(gaps)
        found["tokens_per_second"] = round(tokens / (perf_counter() - self._began), 1)
        self._losses, self._steps, self._tokens = [], 0, 0
        return found
