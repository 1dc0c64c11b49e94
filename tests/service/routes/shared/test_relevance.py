import math

import pytest

from service.routes.shared.relevance import relevance
from service.scoring.types import ItemScore


def test_without_calibration_it_is_the_sigmoid_of_the_raw_score() -> None:
    item = ItemScore(1, raw=-1.5)
    assert relevance(item, raw=False) == pytest.approx(1 / (1 + math.exp(1.5)))
    assert relevance(item, raw=True) == -1.5


@pytest.mark.parametrize(("score", "limit"), [(1e6, 1.0), (-1e6, 0.0)])
def test_no_score_is_too_large(score: float, limit: float) -> None:
    assert relevance(ItemScore(1, raw=0.0, normalized=score), raw=False) == limit
