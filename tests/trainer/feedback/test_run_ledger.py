import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.feedback.compare import EqualityRules
from trainer.feedback.programs import ProgramJob
from trainer.feedback.run_ledger import RecordedRun, RunLedger, run_key
from trainer.feedback.sandbox.types import Input, Limits, Program, Status
from trainer.pipeline.stage import StageError

JOB = ProgramJob(Program("def f(x):\n    return x", "f", "import math"), ())
RUNS = st.builds(
    RecordedRun,
    status=st.sampled_from([each for each in Status if each is not Status.INFRASTRUCTURE]),
    output=st.text(),
    error=st.text(),
    cpu_seconds=st.floats(0, 1e6),
    peak_memory=st.integers(0, 2**40),
)


@settings(max_examples=25)
@given(st.lists(RUNS, min_size=1, max_size=5))
def test_a_killed_process_loses_nothing_that_it_had_appended(runs: list[RecordedRun]) -> None:
    """What a kill leaves behind are the files as they are while the ledger is still open."""
    with tempfile.TemporaryDirectory() as name:
        with RunLedger(Path(name, "open")) as ledger:
            for number, run in enumerate(runs):
                ledger.append(str(number), run)
            shutil.copytree(Path(name, "open"), Path(name, "killed"))
        with RunLedger(Path(name, "killed")) as ledger:
            assert [ledger.find(str(number)) for number in range(len(runs))] == runs


def test_the_first_outcome_of_a_run_counts(tmp_path: Path) -> None:
    first = RecordedRun(Status.OK, "1")
    with RunLedger(tmp_path) as ledger:
        assert ledger.find("key") is None
        ledger.append("key", first)
        ledger.append("key", RecordedRun(Status.OK, "2"))
        assert ledger.find("key") == first


def test_whatever_changes_a_run_changes_its_key() -> None:
    program = JOB.program
    keys = [
        run_key(job, input_, limits, repeat, isolation)
        for job, input_, limits, repeat, isolation in [
            (JOB, Input(), Limits(), 0, "bubblewrap"),
            (
                replace(JOB, program=replace(program, code="x = 1")),
                Input(),
                Limits(),
                0,
                "bubblewrap",
            ),
            (replace(JOB, program=replace(program, setup="")), Input(), Limits(), 0, "bubblewrap"),
            (
                replace(JOB, program=replace(program, entry_point="")),
                Input(),
                Limits(),
                0,
                "bubblewrap",
            ),
            (
                replace(JOB, comparison=EqualityRules(sequences_alike=True)),
                Input(),
                Limits(),
                0,
                "bubblewrap",
            ),
            (JOB, Input("1"), Limits(), 0, "bubblewrap"),
            (JOB, Input(), Limits(cpu_seconds=1.0), 0, "bubblewrap"),
            (JOB, Input(), Limits(), 1, "bubblewrap"),
            (JOB, Input(), Limits(), 0, "none"),
        ]
    ]
    assert len(set(keys)) == len(keys)
    assert run_key(JOB, Input(), Limits(), 0, "bubblewrap") == keys[0]
    other_inputs = replace(JOB, inputs=(Input("another"),))
    assert run_key(other_inputs, Input(), Limits(), 0, "bubblewrap") == keys[0]


def test_a_damaged_ledger_is_named_and_not_passed_over(tmp_path: Path) -> None:
    with RunLedger(tmp_path) as ledger:
        for number in range(200):
            ledger.append(str(number), RecordedRun(Status.OK, "output" * 100))
    file = tmp_path / "runs.sqlite"
    content = file.read_bytes()
    file.write_bytes(content[:8192] + bytes(8192) + content[16384:])
    with pytest.raises(StageError, match=r"runs\.sqlite is damaged .*run all programs again"):
        RunLedger(tmp_path)
