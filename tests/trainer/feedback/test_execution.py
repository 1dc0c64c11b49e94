import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from tests.bubblewrap import needs_bubblewrap
from tests.trainer.feedback.ledgers import kept_rows
from tests.trainer.feedback.problems import ADD, SUM, write_problems
from tests.trainer.feedback.rows import answer, make_samples, make_stage
from tests.trainer.feedback.sandboxes import FakeSandbox, Reply, in_process
from trainer.feedback import test_inputs
from trainer.feedback.execution import ExecutionConfig, check, execute, programs_to_run, run
from trainer.feedback.problem import Problem
from trainer.feedback.program_runs import InputRun, ProgramRuns, read_program_runs
from trainer.feedback.run_ledger import ledger_path
from trainer.feedback.sandbox.types import Input, Outcome, Program, Status
from trainer.feedback.test_inputs import TestInputs
from trainer.pipeline.stage import StageError, manifest_hash, read_manifest

RIGHT = "```python\ndef add(a, b):\n    return a + b\n```"
WRONG = "```python\ndef add(a, b):\n    return a - b\n```"
INPUTS = (Input(arguments="(1, 2)"), Input(arguments="(5, 0)"))
ALONE = Problem("alone", "alone", "function", "Do.", "do", gold="def do(): ...")


def make_work(work: Path, **texts: str) -> None:
    """A work folder with a sample of the problem `add` for each text."""
    write_problems(work / "problems", ADD, SUM, ALONE)
    make_stage(work / "inputs", test_inputs.STEM, [TestInputs("add", INPUTS)])
    make_samples(work, [answer(name, text) for name, text in texts.items()])


def executed(work: Path, reply: Reply = in_process) -> tuple[list[ProgramRuns], FakeSandbox]:
    config, counts, sandbox = ExecutionConfig(), Counter[str](), FakeSandbox(reply)
    programs = programs_to_run(config, work, counts)
    execute(config, programs, counts, sandbox, work, work / "runs")
    return read_program_runs(work / "runs"), sandbox


def test_every_sample_and_every_reference_program_has_a_row(tmp_path: Path) -> None:
    make_work(tmp_path, one=RIGHT, two=WRONG, three=f"Sure!\n{RIGHT}\nIt adds.", four="```\n```")
    rows, sandbox = executed(tmp_path)
    assert [(row.sample, row.problem, row.is_gold) for row in rows] == [
        ("one", "add", False),
        ("two", "add", False),
        ("three", "add", False),
        ("", "add", True),
    ]
    outputs = [[run.output for run in row.outcomes] for row in rows]
    assert outputs == [["3", "5"], ["-1", "5"], ["3", "5"], ["3", "5"]]
    assert rows[0].code_hash == rows[2].code_hash != rows[1].code_hash
    assert set(sandbox.calls.values()) == {2}, "equal programs are run once"
    manifest = read_manifest(tmp_path / "runs")
    assert manifest["isolation"] == "fake"
    assert manifest["inputs"].keys() == {"problems", "inputs", "samples"}
    assert manifest["counts"] == {
        "sample: no code": 1,
        "sample: run": 3,
        "reference program: run": 1,
        "programs": 2,
        "runs: ok": 8,
        "runs: missing": 0,
        "inputs of a program": 4,
        "inputs of a program: repeats disagree": 0,
        "cpu_hours": 0.0,
    }


def test_samples_that_cannot_be_run_are_counted_under_a_reason(tmp_path: Path) -> None:
    make_work(tmp_path)
    samples = [answer("one", RIGHT), answer("two", ""), answer("three", "2", problem="sum")]
    samples += [answer("four", RIGHT, problem="alone"), answer("five", RIGHT, problem="gone")]
    make_samples(tmp_path, samples)
    rows, _ = executed(tmp_path)
    assert [row.sample for row in rows] == ["one", ""]
    counts = read_manifest(tmp_path / "runs")["counts"]
    assert {name: number for name, number in counts.items() if name.startswith("sample")} == {
        "sample: run": 1,
        "sample: no code": 1,
        "sample: its problem asks for no program": 1,
        "sample: its problem has no inputs": 1,
        "sample: its problem is not in the problems": 1,
    }


def test_a_program_that_does_not_end_well_has_its_status(tmp_path: Path) -> None:
    make_work(tmp_path, prose="I cannot do that.", raises="```\ndef add(a, b):\n    1 / b\n```")
    rows, _ = executed(tmp_path)
    assert [run.statuses[0] for run in rows[0].outcomes] == [Status.COMPILE] * 2
    assert [run.statuses[0] for run in rows[1].outcomes] == [Status.OK, Status.EXCEPTION]


def test_no_sample_that_can_be_run_is_an_error(tmp_path: Path) -> None:
    make_work(tmp_path, one="```\n```")
    with pytest.raises(StageError, match=r"no sample of samples can be run .*no code"):
        executed(tmp_path)


def test_missing_runs_are_said_and_made_by_the_next_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(program: Program, input_: Input) -> Outcome:
        if "a - b" in program.code and input_ == INPUTS[1]:
            return Outcome(Status.INFRASTRUCTURE, error="no worker")
        return in_process(program, input_)

    make_work(tmp_path, one=RIGHT, two=WRONG)
    rows, _ = executed(tmp_path, fails)
    assert [row.is_complete for row in rows] == [True, False, True]
    manifest = read_manifest(tmp_path / "runs")
    assert manifest["counts"]["runs: missing"] == 2
    assert manifest["left_for_the_next_run"] == {"no worker": 2}
    assert "failed to make 2 runs" in capsys.readouterr().err
    rows, sandbox = executed(tmp_path)
    assert all(row.is_complete for row in rows)
    assert sandbox.calls.total() == 2


def test_a_stage_run_again_runs_nothing_and_writes_the_same(tmp_path: Path) -> None:
    make_work(tmp_path, one=RIGHT, two=WRONG)
    rows, _ = executed(tmp_path)
    before = manifest_hash(tmp_path / "runs")
    again, sandbox = executed(tmp_path)
    assert (again, sandbox.calls.total()) == (rows, 0)
    assert manifest_hash(tmp_path / "runs") == before


KILLED = """
import os
import random
import signal
import sys
from collections import Counter
from itertools import islice
from pathlib import Path
from tests.trainer.feedback.sandboxes import FakeSandbox, in_process
from trainer.feedback.execution import ExecutionConfig, execute, programs_to_run

def stage(log):
    def logged(program, input_):
        os.write(log, b"run\\n")
        return in_process(program, input_)

    work, config, counts = Path(sys.argv[1]), ExecutionConfig(), Counter()
    programs = programs_to_run(config, work, counts)
    execute(config, programs, counts, FakeSandbox(logged, workers=2), work, work / "runs")

# A forked child has everything imported, so that many can be killed in a short time.
draw, kills, started, status = random.Random(int(sys.argv[2])), 0, 0, None
while status != 0:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        stage(writer)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as runs:
        started += sum(1 for _ in islice(runs, draw.randrange(80)))
        for _ in range(draw.randrange(5000)):  # so that it may be anywhere in its work
            pass
        os.kill(child, signal.SIGKILL)
        started += sum(1 for _ in runs)
    _, status = os.waitpid(child, 0)
    kills += status != 0
print(kills, started)
"""


@pytest.mark.parametrize("seed", [1, 2])
def test_killed_at_any_moment_nothing_is_lost_and_nothing_done_twice(
    tmp_path: Path, seed: int
) -> None:
    texts = {f"s{n}": RIGHT.replace("a + b", f"a + b * {n + 1}") for n in range(150)}
    for name in ("whole", "killed"):
        make_work(tmp_path / name, **texts)
    executed(tmp_path / "whole")
    command = [sys.executable, "-c", KILLED, str(tmp_path / "killed"), str(seed)]
    process = subprocess.run(command, capture_output=True, text=True, check=True)
    kills, started = map(int, process.stdout.split())
    total = (150 + 1) * len(INPUTS) * 2
    assert kills >= 5
    assert total <= started <= total + 2 * kills, "a kill costs only the two runs in flight"
    for name in ("whole", "killed"):
        (tmp_path / name / "runs" / "manifest.json").unlink()  # it names the commit
    whole, killed = (
        {file.name: file.read_bytes() for file in (tmp_path / name / "runs").iterdir()}
        for name in ("whole", "killed")
    )
    assert whole == killed
    assert whole


FULL_DISK = """
import resource
import sys
from collections import Counter
from pathlib import Path
from tests.trainer.feedback.sandboxes import FakeSandbox
from trainer.feedback.execution import ExecutionConfig, execute, programs_to_run
from trainer.pipeline.stage import StageError

work, config, counts = Path(sys.argv[1]), ExecutionConfig(), Counter()
programs, sandbox = programs_to_run(config, work, counts), FakeSandbox()
resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000))
try:
    execute(config, programs, counts, sandbox, work, work / "runs")
except StageError as error:
    print(sandbox.calls.total(), error)
"""


def test_a_disk_that_fills_up_stops_the_stage_and_loses_nothing(tmp_path: Path) -> None:
    """A limit on the size of files stands for the disk."""
    texts = {f"s{n}": RIGHT.replace("a + b", f"'{n} ' * 300 + str(a + b)") for n in range(100)}
    make_work(tmp_path, **texts)
    command = [sys.executable, "-c", FULL_DISK, str(tmp_path)]
    process = subprocess.run(command, capture_output=True, text=True, check=True)
    made, _, message = process.stdout.partition(" ")
    assert "cannot be written" in message
    assert not (tmp_path / "runs").exists()
    rows, sandbox = executed(tmp_path)
    assert len(rows) == 101
    total = 101 * len(INPUTS) * 2
    assert 10 < int(made) < total
    assert total <= int(made) + sandbox.calls.total() <= total + 2, "a failed write lost its run"


def test_without_bubblewrap_nothing_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StageError, match="bubblewrap is not installed"):
        check(ExecutionConfig(), tmp_path)


REAL = """
import sys
from pathlib import Path
from trainer.feedback.execution import ExecutionConfig, run

run(ExecutionConfig(), Path(sys.argv[1]), Path(sys.argv[1]) / "runs")
"""


@needs_bubblewrap
def test_killed_with_real_programs_under_way_it_goes_on_where_it_was(tmp_path: Path) -> None:
    texts = {f"s{n}": RIGHT.replace("a + b", f"a + b * {n + 1}") for n in range(30)}
    for name in ("whole", "killed"):
        make_work(tmp_path / name, **texts)
    run(ExecutionConfig(), tmp_path / "whole", tmp_path / "whole" / "runs")
    work = tmp_path / "killed"
    command = [sys.executable, "-c", REAL, str(work)]
    ledger = ledger_path(work / "runs") / "runs.sqlite"
    with subprocess.Popen(command) as process:
        while process.poll() is None and kept_rows(ledger, "runs") < 5:
            pass
        process.kill()
    assert 5 <= kept_rows(ledger, "runs") < 31 * len(INPUTS) * 2
    assert not (work / "runs").exists()
    run(ExecutionConfig(), work, work / "runs")
    whole, killed = (
        [replace(row, outcomes=tuple(map(unmeasured, row.outcomes))) for row in rows]
        for rows in map(read_program_runs, (tmp_path / "whole" / "runs", work / "runs"))
    )
    assert whole == killed
    assert len(whole) == 31


def unmeasured(run: InputRun) -> InputRun:
    return replace(run, cpu_seconds=0.0, peak_memory=0)
