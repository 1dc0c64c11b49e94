"""A problem, code and inputs make a job, and each of its runs a text that is compared."""

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cached_property

from trainer.feedback.compare import STRICT, EqualityRules, canonical, canonical_text
from trainer.feedback.problem import Problem
from trainer.feedback.sandbox.types import Input, Outcome, Program
from trainer.feedback.sandbox.values import decode

MAX_OUTPUT_CHARACTERS = 1000
"""Longer outputs are kept as hashes. It is no setting: outputs of different runs are compared."""

OUTPUT_FORM = 1
"""Number of the way in which outputs are written; another way makes earlier runs void."""


@dataclass(frozen=True)
class ProgramJob:
    """A program and all inputs that it is run on.

    Attributes:
        comparison: which outputs are the same.
    """

    program: Program
    inputs: tuple[Input, ...]
    comparison: EqualityRules = STRICT

    @cached_property
    def program_hash(self) -> str:
        text = json.dumps(asdict(self.program), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def job_of(problem: Problem, code: str, inputs: tuple[Input, ...]) -> ProgramJob:
    """The job that runs a sample's or the reference program of this problem."""
    program = Program(code.rstrip(), problem.entry_point, problem.setup)
    return ProgramJob(program, inputs, EqualityRules(sequences_alike=problem.sequences_alike))


def output_text(job: ProgramJob, outcome: Outcome) -> str:
    """The canonical text of what a run that ended well returned or printed.

    Equal outputs have equal texts. A long one is replaced by `sha256:` and its hash.

    Raises:
        ValueError: the value cannot be read.
    """
    if job.program.entry_point:
        value = decode(outcome.value)
        try:
            text = canonical(value, job.comparison)
        except ValueError:
            # Plain data that literals cannot write, such as dates: equal ones have one wire form.
            text = outcome.value
    else:
        text = canonical_text(outcome.stdout)
    # A program may print halves of surrogate pairs, which no UTF-8 file can hold.
    text = text.encode("utf-8", "backslashreplace").decode()
    if len(text) > MAX_OUTPUT_CHARACTERS:
        return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
    return text
