"""Combines the scores that several models gave the same items: a weighted sum."""

from dataclasses import dataclass

from service.scoring.types import ScoringResult
from service.scoring.weighted import weighted_score


@dataclass(frozen=True, slots=True)
class WeightedResult:
    """One model's scores, and the weight that they have in the sum."""

    weight: float
    result: ScoringResult

    @property
    def key(self) -> str:
        return f"{self.result.model}@{self.result.version}"


def weighted_sum(parts: list[WeightedResult]) -> ScoringResult:
    """Add up the normalized scores, because raw logits of different models do not compare.

    An item has an error if any part has one for it, or if its sum is not a finite number.
    """
    results = [part.result for part in parts]
    weights = {part.key: part.weight for part in parts}
    inputs = []
    for groups in zip(*(result.inputs for result in results), strict=True):
        columns = zip(*groups, strict=True)
        inputs.append(
            tuple(weighted_score(weights, column, of_normalized=True) for column in columns)
        )
    return ScoringResult(
        model="+".join(result.model for result in results),
        version="+".join(result.version for result in results),
        inputs=tuple(inputs),
        computed_tokens=sum(result.computed_tokens for result in results),
        saved_tokens=sum(result.saved_tokens for result in results),
        # The models ran side by side, so the slowest one is what the client waited for.
        timings=max((result.timings for result in results), key=lambda timings: timings.total),
    )
