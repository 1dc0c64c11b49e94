"""Voting: what counts as a vote, who wins, and which votes become tests."""

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from trainer.pipeline.stage import StageError

# Outputs that say nothing: an empty text, or Python's empty values.
EMPTY = frozenset({"", "''", '""', "b''", "[]", "()", "{}", "set()"})
ERROR = re.compile(r"""^['"\s]*(?:error|exception|traceback|invalid)\b""", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class VoteRules:
    """Which votes become tests.

    The defaults are those of PFPO (arXiv 2411.16345), which asks ten programs.

    Attributes:
        min_valid: programs that must have ended well on an input, at least. A number below 1 is a
            share of a problem's programs. None is 5, and 1 for programs of a frontier model.
        min_confidence: leave out problems whose winners have a smaller share on average.
        drop_ties: leave out inputs on which several outputs have most votes. Otherwise one of them
            wins, always the same one.
        drop_degenerate: leave out inputs whose winner is None, empty or like the text of an error,
            and problems whose tests all expect the same output. They are counted in any case.
        min_tests: leave out problems with fewer tests.
        min_majority: share of the answers that the winner must have more of, in problems with a
            final answer.
    """

    min_valid: float | None = None
    min_confidence: float = 0.0
    drop_ties: bool = False
    drop_degenerate: bool = False
    min_tests: int = 1
    min_majority: float = 0.5

    def __post_init__(self) -> None:
        """Raise StageError for what is no share."""
        for name in ("min_confidence", "min_majority"):
            if not 0 <= (share := getattr(self, name)) <= 1:
                raise StageError(f"{name} is {share}: it must be from 0 to 1")
        if (self.min_valid or 0) < 0 or self.min_tests < 1:
            raise StageError("min_valid must be 0 or more, and min_tests 1 or more")


@dataclass(frozen=True)
class Tally:
    """Counted votes.

    Attributes:
        expected: the winner, which does not depend on the order of the votes; None if there is no
            vote.
        winner, runner_up: shares of the votes.
    """

    expected: str | None
    valid: int
    distinct: int
    winner: float
    runner_up: float
    is_tied: bool


def tally(votes: Sequence[str]) -> Tally:
    """Count votes; of several outputs with most of them, the one with the smallest hash wins."""
    # The hash prefers no kind of output, as the order of texts would prefer the empty one.
    ranked = sorted(
        Counter(votes).items(),
        key=lambda each: (-each[1], hashlib.sha256(each[0].encode("utf-8", "replace")).digest()),
    )
    if not ranked:
        return Tally(None, 0, 0, 0.0, 0.0, is_tied=False)
    second = ranked[1][1] if len(ranked) > 1 else 0
    return Tally(
        expected=ranked[0][0],
        valid=len(votes),
        distinct=len(ranked),
        winner=ranked[0][1] / len(votes),
        runner_up=second / len(votes),
        is_tied=ranked[0][1] == second,
    )


def degenerate(output: str) -> str:
    """Why an output is likely no answer; empty if it looks like one."""
    if output == "None":
        return "None"
    if output.strip() in EMPTY:
        return "empty"
    return "like an error" if ERROR.match(output) else ""
