import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.feedback.vote_rules import VoteRules, degenerate, tally
from trainer.pipeline.stage import StageError

ballots = st.lists(st.sampled_from(["1", "2", "None", "", "x" * 50]), max_size=12)


@given(ballots, st.randoms(use_true_random=False))
def test_the_order_of_votes_changes_nothing(votes: list[str], rng: random.Random) -> None:
    first = tally(votes)
    rng.shuffle(votes)
    assert tally(votes) == first


@given(ballots)
def test_no_output_has_more_votes_than_the_winner(votes: list[str]) -> None:
    counted = tally(votes)
    assert counted.valid == len(votes)
    if counted.expected is None:
        assert not votes
        return
    most = max(votes.count(each) for each in votes)
    assert votes.count(counted.expected) == most
    assert counted.winner == most / len(votes)
    tied = sum(votes.count(each) == most for each in set(votes))
    assert counted.is_tied == (tied > 1)
    assert (counted.runner_up == counted.winner) == counted.is_tied


@pytest.mark.parametrize(
    ("output", "word"),
    [
        ("None", "None"),
        ("", "empty"),
        ("[]", "empty"),
        ("''", "empty"),
        ("set()", "empty"),
        ("'Error: no such thing'", "like an error"),
        ("Traceback (most recent call last)", "like an error"),
        ("'errors are 3'", ""),
        ("0", ""),
        ("False", ""),
        ("'terror'", ""),
    ],
)
def test_winners_that_say_nothing_are_recognized(output: str, word: str) -> None:
    assert degenerate(output) == word


def test_rules_that_mean_nothing_are_refused() -> None:
    for name, value in (("min_confidence", 2.0), ("min_majority", -0.1), ("min_valid", -1)):
        with pytest.raises(StageError, match="must be"):
            VoteRules(**{name: value})  # type: ignore[arg-type]  # a field of each type
