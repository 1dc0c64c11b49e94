"""How many tests a sample passes: what every labelling ends in and every pair rule begins with."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from trainer.pipeline.shards import read_shards

STEM = "passes"


class Verdict(StrEnum):
    """A run's `Status`, and `WRONG` where it ended well with another output than expected."""

    OK = "ok"
    WRONG = "wrong"
    EXCEPTION = "exception"
    TIMEOUT = "timeout"
    MEMORY = "memory"
    OUTPUT_LIMIT = "output_limit"
    COMPILE = "compile"
    INFRASTRUCTURE = "infrastructure"


@dataclass(frozen=True)
class PassCount:
    """A sample against the tests of its problem, whether given or voted for.

    A sample with any `INFRASTRUCTURE` verdict has no row: it has no label.

    Attributes:
        sample, problem: their ids.
        passed, total: numbers of tests.
        verdicts: one for each test, in the order of the tests.
    """

    sample: str
    problem: str
    passed: int
    total: int
    verdicts: tuple[Verdict, ...] = ()


def read_pass_counts(folder: Path) -> list[PassCount]:
    """All pass counts of a finished stage."""
    return read_shards(folder, STEM, PassCount)
