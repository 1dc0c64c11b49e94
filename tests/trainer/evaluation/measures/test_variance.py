"""Both variances add up to numpy's variance of all scores."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.trainer.evaluation.made import RESAMPLING, judged, question
from trainer.evaluation.measures.scored import ScoredQuestion
from trainer.evaluation.measures.variance import table

prompts = st.lists(
    st.lists(st.integers(-20, 20).map(float), min_size=1, max_size=5), min_size=2, max_size=6
)


def scored(prompts: list[list[float]], offset: float = 0.0) -> list[ScoredQuestion]:
    return [
        judged(
            [score + offset for score in scores],
            question([n == 0 for n in range(len(scores))], group=f"{number}"),
        )
        for number, scores in enumerate(prompts)
    ]


@given(prompts)
def test_the_parts_add_up_and_a_constant_changes_none(prompts: list[list[float]]) -> None:
    every = np.concatenate(prompts)
    assume(np.ptp(every) > 0)
    rows = table(scored(prompts), RESAMPLING).rows
    inside, outside = (rows[f"{name} prompts"]["model"].value for name in ("within", "between"))
    assert inside + outside == pytest.approx(np.var(every))
    assert rows["share within prompts"]["model"].value == pytest.approx(inside / np.var(every))
    deviation = rows["within prompts"]["standard_deviation"]
    assert deviation.value == pytest.approx(np.sqrt(inside))
    far = table(scored(prompts, offset=2.0**20), RESAMPLING).rows
    assert far["between prompts"]["model"].value == pytest.approx(outside, abs=1e-6)


def test_scores_that_tell_prompts_apart_alone_have_nothing_within() -> None:
    rows = table(scored([[1.0, 1.0], [3.0, 3.0]]), RESAMPLING).measured().rows
    assert rows["share within prompts"]["model"].value == 0.0
    assert rows["share within prompts"]["right_answers"].value == 1.0
    # All answers are of one length, which has no variance to divide.
    assert "length_only" not in rows["share within prompts"]


def test_of_one_group_only_the_share_is_told() -> None:
    (name,) = table(scored([[1.0, 2.0]]), RESAMPLING).rows
    assert name == "share within prompts"
