from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from tests.trainer.feedback.sandboxes import FakeSandbox, in_process, returned
from trainer.feedback.program_runs import InputRun
from trainer.feedback.programs import ProgramJob
from trainer.feedback.run_ledger import RunLedger
from trainer.feedback.runner import ProgramRunner, RunSettings
from trainer.feedback.sandbox.types import Input, Limits, Outcome, Program, Status
from trainer.pipeline.stage import StageError

ONE, TWO, THREE = (Input(arguments=f"({number},)") for number in (1, 2, 3))
DOUBLE = ProgramJob(Program("def f(x):\n    return 2 * x", "f"), (ONE, TWO, THREE))
RAISES = ProgramJob(Program("def f(x):\n    return 1 // (x - 1)", "f"), (ONE, TWO))
BROKEN = Outcome(Status.INFRASTRUCTURE, error="no worker")


def run(
    folder: Path, sandbox: FakeSandbox, *jobs: ProgramJob, settings: RunSettings | None = None
) -> list[tuple[InputRun, ...]]:
    with RunLedger(folder) as ledger:
        runner = ProgramRunner(settings or RunSettings(), sandbox, ledger)
        runner.run_missing(jobs)
        return [runner.outcomes(job) for job in jobs]


def statuses(runs: tuple[InputRun, ...]) -> list[tuple[Status, ...]]:
    return [each.statuses for each in runs]


def test_every_program_is_run_twice_on_every_input(tmp_path: Path) -> None:
    sandbox = FakeSandbox()
    double, raises = run(tmp_path, sandbox, DOUBLE, RAISES)
    assert [each.output for each in double] == ["2", "4", "6"]
    assert [each.output for each in raises] == [None, "1"]
    assert raises[0].statuses == (Status.EXCEPTION, Status.EXCEPTION)
    assert set(sandbox.calls.values()) == {2}


def test_what_is_known_is_not_run_again(tmp_path: Path) -> None:
    first = run(tmp_path, FakeSandbox(), DOUBLE)
    sandbox = FakeSandbox()
    assert run(tmp_path, sandbox, DOUBLE, RAISES)[0] == first[0]
    assert {program for program, _ in sandbox.calls} == {RAISES.program}


@pytest.mark.parametrize(
    "settings", [RunSettings(limits=Limits(cpu_seconds=1)), RunSettings(repeats=3)]
)
def test_another_limit_or_repeat_is_another_run(tmp_path: Path, settings: RunSettings) -> None:
    run(tmp_path, FakeSandbox(), DOUBLE)
    sandbox = FakeSandbox()
    run(tmp_path, sandbox, DOUBLE, settings=settings)
    assert sandbox.calls.total() == (3 if settings.repeats == 3 else 6)


def test_an_output_that_changes_is_found(tmp_path: Path) -> None:
    numbers = count()
    (runs,) = run(tmp_path, FakeSandbox(lambda *_: returned(next(numbers)), workers=1), DOUBLE)
    assert [each.agrees for each in runs] == [False] * 3
    assert [each.output for each in runs] == [None] * 3


def test_a_run_that_the_sandbox_failed_to_make_is_retried(tmp_path: Path) -> None:
    replies = iter([BROKEN, returned(1), BROKEN, BROKEN, returned(1)])
    job = replace(DOUBLE, inputs=(ONE,))
    (runs,) = run(tmp_path, FakeSandbox(lambda *_: next(replies)), job)
    assert runs[0].output == "1"


def test_a_run_that_is_never_made_is_missing_until_it_is(tmp_path: Path) -> None:
    def fails_on_two(program: Program, input_: Input) -> Outcome:
        return BROKEN if input_ == TWO else in_process(program, input_)

    sandbox = FakeSandbox(fails_on_two)
    (runs,) = run(tmp_path, sandbox, DOUBLE)
    assert [each.is_complete for each in runs] == [True, False, True]
    assert sandbox.calls[DOUBLE.program, TWO] == 2 * 3
    sandbox = FakeSandbox()
    (runs,) = run(tmp_path, sandbox, DOUBLE)
    assert [each.output for each in runs] == ["2", "4", "6"]
    assert sandbox.calls == {(DOUBLE.program, TWO): 2}


def test_a_sandbox_that_makes_no_run_stops_the_stage(tmp_path: Path) -> None:
    with pytest.raises(StageError, match=r"made none of 6 runs .*no worker"):
        run(tmp_path, FakeSandbox(lambda *_: BROKEN), DOUBLE)


def test_a_sandbox_that_fails_in_the_middle_stops_it_and_loses_nothing(tmp_path: Path) -> None:
    numbers = count()
    settings = RunSettings(max_consecutive_failures=3, max_retries=0)
    many = replace(DOUBLE, inputs=tuple(Input(arguments=f"({n},)") for n in range(100)))

    def dies(program: Program, input_: Input) -> Outcome:
        return in_process(program, input_) if next(numbers) < 50 else BROKEN

    sandbox = FakeSandbox(dies)
    with pytest.raises(StageError, match=r"failed to make [34] runs in a row.*no worker.*are kept"):
        run(tmp_path, sandbox, many, settings=settings)
    sandbox = FakeSandbox()
    run(tmp_path, sandbox, many, settings=settings)
    assert sandbox.calls.total() == 150


def test_a_program_that_times_out_is_not_run_on_all_inputs(tmp_path: Path) -> None:
    settings = RunSettings(max_timeouts=2)

    def slow(program: Program, input_: Input) -> Outcome:
        return returned(1) if input_ == ONE else Outcome(Status.TIMEOUT, cpu_seconds=4.0)

    inputs = (TWO, ONE, THREE, Input(arguments="(4,)"), ONE)
    sandbox = FakeSandbox(slow)
    (runs,) = run(tmp_path, sandbox, replace(DOUBLE, inputs=inputs), settings=settings)
    late, fine = (Status.TIMEOUT,) * 2, (Status.OK,) * 2
    assert statuses(runs) == [late, fine, late, late, late]
    assert sandbox.calls.total() == 2 * 3
    assert [each.cpu_seconds for each in runs] == [8.0, 0.0, 8.0, 0.0, 0.0]
    again = FakeSandbox()
    assert run(tmp_path, again, replace(DOUBLE, inputs=inputs), settings=settings) == [runs]
    assert again.calls.total() == 0


def test_a_value_that_cannot_be_compared_did_not_end_well(tmp_path: Path) -> None:
    reply = FakeSandbox(lambda *_: Outcome(Status.OK, value="no wire form"))
    (runs,) = run(tmp_path, reply, DOUBLE)
    assert statuses(runs) == [(Status.EXCEPTION,) * 2] * 3


def test_settings_that_would_run_nothing_are_refused() -> None:
    with pytest.raises(StageError, match="at least 1"):
        RunSettings(repeats=0)
    with pytest.raises(StageError, match="at least 1"):
        RunSettings(max_timeouts=0)


def test_an_interruption_ends_the_runs_and_keeps_what_was_made(tmp_path: Path) -> None:
    numbers = count()
    many = replace(DOUBLE, inputs=tuple(Input(arguments=f"({n},)") for n in range(50)))

    def interrupted(program: Program, input_: Input) -> Outcome:
        if next(numbers) == 30:
            raise KeyboardInterrupt
        return in_process(program, input_)

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, FakeSandbox(interrupted), many)
    sandbox = FakeSandbox()
    run(tmp_path, sandbox, many)
    assert 100 - 31 <= sandbox.calls.total() <= 100 - 29
