"""All reference programs of MBPP pass their tests, and no empty program does."""

from pathlib import Path

import pytest

from tests.bubblewrap import needs_bubblewrap
from trainer.feedback.grading import Grader, fault_of
from trainer.feedback.problem import Problem
from trainer.feedback.readers.mbpp import Mbpp
from trainer.feedback.sandbox.open import SandboxConfig, open_sandbox
from trainer.feedback.sandbox.types import Limits
from trainer.feedback.threads import in_threads
from trainer.tables.files import read_file

DATA = Path(__file__).resolve().parents[3].parent / "shared" / "data" / "mbpp" / "mbpp.jsonl.gz"


@needs_bubblewrap
@pytest.mark.skipif(not DATA.is_file(), reason="needs MBPP beside the checkout")
@pytest.mark.parametrize("part", range(4))  # so that several processes of pytest share the work
def test_every_reference_passes_and_every_empty_program_fails(part: int) -> None:
    problems: list[Problem] = []
    for _, record in read_file(DATA):
        assert isinstance(record, dict)
        problem = Mbpp().read(record)
        assert problem is not None
        problems.append(problem)
    assert len(problems) == 974
    with open_sandbox(SandboxConfig()) as sandbox:
        grader = Grader(sandbox, Limits())
        faults = in_threads(
            lambda problem: fault_of(problem, grader),
            problems[part::4],
            sandbox.workers,
            what="check tests",
            unit="problems",
        )
    found = {
        problem.id: fault for problem, fault in zip(problems[part::4], faults, strict=True) if fault
    }
    assert found == {}
