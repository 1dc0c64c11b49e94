"""Combines the scores that several models gave the same items: a weighted sum."""

import math
from dataclasses import dataclass

from service.errors import ItemError
from service.scoring.types import ItemScore, ScoringResult


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
    inputs = []
    for groups in zip(*(result.inputs for result in results), strict=True):
        columns = zip(*groups, strict=True)
        inputs.append(tuple(_sum_item(parts, column) for column in columns))
    return ScoringResult(
        model="+".join(result.model for result in results),
        version="+".join(result.version for result in results),
        inputs=tuple(inputs),
        computed_tokens=sum(result.computed_tokens for result in results),
        saved_tokens=sum(result.saved_tokens for result in results),
        # The models ran side by side, so the slowest one is what the client waited for.
        timings=max((result.timings for result in results), key=lambda timings: timings.total),
    )


def _sum_item(parts: list[WeightedResult], scores: tuple[ItemScore, ...]) -> ItemScore:
    tokens = sum(score.tokens for score in scores)
    dropped_tokens = max(score.dropped_tokens for score in scores)
    if error := next((score.error for score in scores if score.error), None):
        return ItemScore(tokens, error=error, dropped_tokens=dropped_tokens)
    total = 0.0
    for part, score in zip(parts, scores, strict=True):
        assert score.normalized is not None, "only calibrated models are combined"
        total += part.weight * score.normalized
    if not math.isfinite(total):
        # It would be no JSON, and infinity or NaN among other scores would decide their order.
        error = ItemError(
            "non_finite", "the weighted sum is not a finite number: lower the weights"
        )
        return ItemScore(tokens, error=error, dropped_tokens=dropped_tokens)
    # One part from the engine suffices for the item to have cost work.
    cached = all(score.cached for score in scores)
    return ItemScore(tokens, total, total, cached=cached, dropped_tokens=dropped_tokens)
