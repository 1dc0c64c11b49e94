"""The weighted sum of several scores of one item: of models, criteria or labels."""

import math
from collections.abc import Mapping, Sequence

from service.errors import ItemError
from service.scoring.types import ItemScore, Part

_NOT_FINITE = ItemError("non_finite", "the weighted sum is not a finite number: lower the weights")


def weighted_score(
    weights: Mapping[str, float],
    scores: Sequence[ItemScore],
    *,
    of_normalized: bool = False,
    one_text: bool = False,
) -> ItemScore:
    """Add up the scores, which are in the order of `weights`.

    Nothing is divided: weights that add up to 1 keep the scale of a single score. The sum has an
    error if any of its parts has one, or if it is not a finite number.

    Args:
        of_normalized: take the sum of the normalized scores for the raw one, too, because raw
            logits of different models do not compare.
        one_text: all scores are of one text, whose tokens count once.
    """
    parts = {
        name: Part(weight, score.raw, score.normalized, score.tokens)
        for (name, weight), score in zip(weights.items(), scores, strict=True)
    }
    tokens = scores[0].tokens if one_text else sum(score.tokens for score in scores)
    dropped = max(score.dropped_tokens for score in scores)
    error = next((score.error for score in scores if score.error), None)
    raw = _sum([(part.weight, part.raw) for part in parts.values()])
    normalized = _sum([(part.weight, part.normalized) for part in parts.values()])
    if of_normalized:
        raw = normalized
    if error is None and not all(map(math.isfinite, (raw or 0.0, normalized or 0.0))):
        # It would be no JSON, and infinity or NaN among other scores would decide their order.
        error = _NOT_FINITE
    if error:
        return ItemScore(tokens, error=error, dropped_tokens=dropped, parts=parts)
    columns = zip(*(score.steps for score in scores), strict=True)
    steps = tuple(_sum(list(zip(weights.values(), column, strict=True))) for column in columns)
    return ItemScore(
        tokens,
        raw,
        normalized,
        # One part from the engine suffices for the item to have cost work.
        cached=all(score.cached for score in scores),
        steps=tuple(step for step in steps if step is not None),
        dropped_tokens=dropped,
        parts=parts,
    )


def _sum(terms: list[tuple[float, float | None]]) -> float | None:
    """The sum of weight times score; None where a score is missing."""
    total = 0.0
    for weight, score in terms:
        if score is None:
            return None
        total += weight * score
    return total
