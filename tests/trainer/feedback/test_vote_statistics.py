import pytest

from trainer.evaluation.measures.estimate import Resampling
from trainer.feedback.problem_votes import InputVote, ProblemVotes
from trainer.feedback.vote_statistics import accuracy_by_share, bin_of, facts, markdown, svg

FEW = Resampling(50)


def judged(name: str, *votes: tuple[float, bool | None]) -> ProblemVotes:
    inputs = tuple(InputVote("1", winner=share, valid=5, is_right=right) for share, right in votes)
    return ProblemVotes(name, name, inputs)


VOTES = [
    judged("p", (1.0, True), (0.5, False), (0.5, True)),
    judged("q", (1.0, True), (0.3, False), (0.9, None)),
]


@pytest.mark.parametrize(
    ("share", "name"),
    [(0.1, "0.0 - 0.2"), (0.2, "0.0 - 0.2"), (0.21, "0.2 - 0.4"), (0.9, "0.8 - 1.0"), (1, "1.0")],
)
def test_an_upper_end_belongs_to_its_bin(share: float, name: str) -> None:
    assert bin_of(share) == name


def test_accuracy_is_counted_by_the_winners_share() -> None:
    bins = accuracy_by_share(VOTES, FEW)
    assert {name: (figure.value, figure.n) for name, figure in bins.items()} == {
        "0.2 - 0.4": (0.0, 1),
        "0.4 - 0.6": (0.5, 2),
        "1.0": (1.0, 2),
    }
    assert (bins["0.4 - 0.6"].low, bins["0.4 - 0.6"].high) == (0.0, 1.0)  # of one problem alone


def test_the_manifest_tells_how_often_tests_are_right() -> None:
    found = facts(VOTES, FEW)
    assert found["tests"] == 6
    assert found["accuracy_of_tests"] == {"value": 0.6, "low": 0.5, "high": 0.6667, "n": 5}
    means = found["means_over_tests"]
    assert isinstance(means, dict)
    assert means["winner"] == pytest.approx(0.7)
    assert "accuracy_by_share" not in facts([judged("p", (1.0, None))], FEW)


def test_table_and_picture_are_the_same_every_time() -> None:
    bins = accuracy_by_share(VOTES, FEW)
    assert "| 0.4 - 0.6 | 0.500 | 0.000 - 1.000 | 2 |" in markdown(bins)
    assert svg(bins) == svg(bins)
    assert svg(bins).startswith(b"<?xml")
