"""What rerankers make of a score: a number from 0 to 1, unless the client wants it raw."""

from service.routes.shared.dialect import sigmoid
from service.scoring.types import ItemScore


def relevance(item: ItemScore, *, raw: bool) -> float:
    """Sigmoid of the calibrated score, or of the raw one where the model has no calibration.

    Args:
        item: has a score.
        raw: the raw score itself is wanted.
    """
    assert item.raw is not None
    if raw:
        return item.raw
    return sigmoid(item.raw if item.normalized is None else item.normalized)
