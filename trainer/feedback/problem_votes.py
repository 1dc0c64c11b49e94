"""Votes on a problem: what its tests expect, and how sure the voters were."""

from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from trainer.pipeline.shards import read_shards

STEM = "votes"


@dataclass(frozen=True)
class InputVote:
    """The vote on one test input; for a problem with a final answer, the vote on the answer.

    Attributes:
        expected: the output with most votes, or the one that is given; empty if nobody voted. A
            long one is `sha256:` and its hash.
        left_out: why the input is no test; empty if it is one.
        voters: programs that ran on it without a failure of the infrastructure.
        valid: those of them that ended well, every time with the same output.
        distinct: different outputs among those.
        winner, runner_up: shares of `valid` that the two outputs with most votes have.
        is_right: whether `expected` is the output of the reference program; None if that is not
            known.
    """

    expected: str
    left_out: str = ""
    voters: int = 0
    valid: int = 0
    distinct: int = 0
    winner: float = 0.0
    runner_up: float = 0.0
    is_right: bool | None = None


@dataclass(frozen=True)
class ProblemVotes:
    """All votes on one problem.

    Attributes:
        group: as in `Problem`.
        inputs: in the order of the stage `inputs`.
        left_out: why the problem has no labels; empty if it has.
    """

    problem: str
    group: str
    inputs: tuple[InputVote, ...]
    left_out: str = ""

    @property
    def tests(self) -> tuple[int, ...]:
        """Indices of the inputs that are tests."""
        return tuple(index for index, vote in enumerate(self.inputs) if not vote.left_out)

    @property
    def confidence(self) -> float:
        """Mean share of the winner over the tests; 0 without any."""
        return fmean(self.inputs[index].winner for index in self.tests) if self.tests else 0.0


def read_problem_votes(folder: Path) -> list[ProblemVotes]:
    """All votes of a finished stage."""
    return read_shards(folder, STEM, ProblemVotes)
