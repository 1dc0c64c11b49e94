from pathlib import Path

import pytest

from trainer.feedback.program_runs import STEM, InputRun, ProgramRuns, read_program_runs
from trainer.feedback.sandbox.types import Status
from trainer.feedback.test_inputs import TestInputs
from trainer.pipeline.shards import write_shards
from trainer.pipeline.stage import writing_stage

OK, TIMEOUT, MISSING = Status.OK, Status.TIMEOUT, Status.INFRASTRUCTURE


@pytest.mark.parametrize(
    ("run", "complete", "agrees", "output"),
    [
        (InputRun((OK, OK), ("1", "1")), True, True, "1"),
        (InputRun((OK, OK), ("", "")), True, True, ""),
        (InputRun((OK, OK), ("1", "2")), True, False, None),
        (InputRun((OK, TIMEOUT), ("", "")), True, False, None),
        (InputRun((TIMEOUT, TIMEOUT), ("", "")), True, True, None),
        (InputRun((MISSING, MISSING), ("", "")), False, True, None),
        (InputRun((OK, MISSING), ("1", "")), False, False, None),
    ],
)
def test_only_repeats_that_all_ended_well_and_alike_have_an_output(
    run: InputRun, complete: bool, agrees: bool, output: str | None
) -> None:
    assert (run.is_complete, run.agrees, run.output) == (complete, agrees, output)
    assert ProgramRuns("s", "p", "c", (run,)).is_complete is complete


def test_rows_come_back_as_they_were_written(tmp_path: Path) -> None:
    run = InputRun((OK, TIMEOUT), ("[1]", ""), 0.5, 1 << 20)
    rows = [ProgramRuns("s", "p", "c", (run, run)), ProgramRuns("", "p", "g", (), is_gold=True)]
    with writing_stage(TestInputs("p", ()), tmp_path / "runs") as draft:
        write_shards(draft.path, STEM, rows, 1)
    assert read_program_runs(tmp_path / "runs") == rows
