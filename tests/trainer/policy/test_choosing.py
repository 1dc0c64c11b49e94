from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.trainer.evaluation.made import RESAMPLING, FakeScorer, question
from trainer.policy.choosing import (
    MAJORITY,
    ORACLE,
    REWARD_MODEL,
    Candidates,
    comparisons,
    with_scores,
)

LABELS = st.lists(st.booleans(), min_size=1, max_size=8)


@given(LABELS, st.data())
def test_no_choice_exceeds_the_oracle(correct: list[bool], data: st.DataObject) -> None:
    scores = tuple(data.draw(st.floats(-3, 3)) for _ in correct)
    # Equal answers are alike right or wrong, as they are where a judge is consistent.
    classes = tuple(int(right) for right in correct)
    each = Candidates(question(correct), scores, classes)
    for n in range(1, len(correct) + 1):
        best = ORACLE.chance(each, n)
        assert REWARD_MODEL.chance(each, n) <= best + 1e-9
        assert MAJORITY.chance(each, n) <= best + 1e-9
    share = sum(correct) / len(correct)
    assert REWARD_MODEL.chance(each, 1) == pytest.approx(share)


def test_a_sample_without_a_score_is_drawn_and_never_chosen_over_another() -> None:
    # The long text has no score. Were it left out, pass@1 would rise from 1/2 to 1.
    asked = Candidates(question([True, False], texts=["good", "too long"]))
    counts: Counter[str] = Counter()
    scorer = FakeScorer(lambda text: None if len(text) > 4 else 1.0)
    (scored,) = with_scores([asked], scorer, counts, "scoring")
    assert counts == {"not scored: too long": 1}
    assert REWARD_MODEL.chance(scored, 1) == 0.5
    assert REWARD_MODEL.chance(scored, 2) == 1.0


def test_a_vote_is_held_only_where_all_policies_allow_one() -> None:
    voted = Candidates(question([True, False, False]), classes=(0, 1, 1))
    silent = Candidates(question([True, False, False]))
    titles = [each.title for each in comparisons({"a": [voted], "b": [voted]}, [1], RESAMPLING)]
    assert titles == ["majority of N", "longest of N", "oracle of N"]
    titles = [each.title for each in comparisons({"a": [voted], "b": [silent]}, [1], RESAMPLING)]
    assert titles == ["longest of N", "oracle of N"]
