"""Scores as rerankers give them: a number from 0 to 1, unless the client asks for the raw one."""

import math

from service.scoring.types import ItemScore, Part


def relevance(item: ItemScore | Part, *, raw: bool) -> float:
    """Return the sigmoid of an item's score, or its raw score.

    The sigmoid is that of the calibrated score, or of the raw one without calibration.
    """
    assert item.raw is not None
    if raw:
        return item.raw
    return sigmoid(item.raw if item.normalized is None else item.normalized)


def sigmoid(score: float) -> float:
    """Return the logistic function, precise at both ends."""
    # The exponent is never positive, so that nothing overflows.
    small = math.exp(-abs(score))
    return (1 if score >= 0 else small) / (1 + small)
