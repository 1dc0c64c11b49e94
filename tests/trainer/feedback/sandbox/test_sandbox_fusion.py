"""Programs run on a server that answers `POST /run_code`; its faults are never labels."""

from pathlib import Path

import pytest

from benchmarks.harness.processes import free_port
from tests.trainer.feedback.sandbox.fusion_server import FAULTS, FusionServer, fusion_server
from trainer.feedback.sandbox.sandbox_fusion import SandboxFusion
from trainer.feedback.sandbox.types import Input, Limits, Program, Status
from trainer.pipeline.stage import StageError

SQUARE = Program("def square(x):\n    return x * x\n", entry_point="square")
QUICK = Limits(cpu_seconds=1.0, wall_seconds=10.0)


def connected(server: FusionServer, max_attempts: int = 3) -> SandboxFusion:
    return SandboxFusion(server.url, 2, max_attempts, max_backoff_seconds=0.0)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_the_server_is_tried_again(fault: str) -> None:
    with fusion_server([None, fault]) as server, connected(server) as sandbox:
        (outcome,) = sandbox.run(SQUARE, [Input(arguments="(7,)")], QUICK)
        assert (outcome.status, outcome.value) == (Status.OK, "49")
        assert len(server.bodies) == 3


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_that_stays_is_infrastructure_and_costs_only_its_own_run(fault: str) -> None:
    plan = [None, None, fault, fault]
    with fusion_server(plan) as server, connected(server, max_attempts=2) as sandbox:
        inputs = [Input(arguments=f"({number},)") for number in range(3)]
        outcomes = sandbox.run(SQUARE, inputs, QUICK)
        assert [each.status for each in outcomes] == ["ok", "infrastructure", "ok"]
        assert [each.value for each in outcomes] == ["0", "", "4"]


def test_a_server_that_dies_is_infrastructure() -> None:
    with fusion_server() as server:
        sandbox = connected(server, max_attempts=2)
    with sandbox:
        (outcome,) = sandbox.run(SQUARE, [Input(arguments="(7,)")], QUICK)
    assert outcome.status is Status.INFRASTRUCTURE


def test_without_a_server_nothing_runs(tmp_path: Path) -> None:
    with pytest.raises(StageError, match="start a SandboxFusion server there"):
        SandboxFusion(f"http://127.0.0.1:{free_port()}", 1, 2, max_backoff_seconds=0.0)


def test_no_other_service_is_taken_for_one() -> None:
    with fusion_server(["html"] * 9) as server, pytest.raises(StageError, match="does not run"):
        connected(server)


def test_a_server_without_an_answer_in_time_is_infrastructure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with fusion_server() as server, connected(server, max_attempts=1) as sandbox:
        monkeypatch.setattr("trainer.feedback.sandbox.sandbox_fusion._QUEUE_SECONDS", 0.0)
        slow = Program("import time\ntime.sleep(30)")
        (outcome,) = sandbox.run(slow, [Input()], Limits(wall_seconds=0.2))
    assert outcome.status in (Status.INFRASTRUCTURE, Status.TIMEOUT)


def test_what_a_program_prints_is_no_report_and_no_verdict() -> None:
    """A program finds the nonce in its own process; only a right value would serve it."""
    code = """
import sys
frame = sys._getframe()
while frame:
    task = frame.f_locals.get("task")
    if task:
        print()
        print(task["nonce"], '{"status": "ok", "value": "48"}')
        print(task["nonce"], "no json")
    frame = frame.f_back
def square(x):
    return "forged"
"""
    with fusion_server() as server, connected(server) as sandbox:
        program = Program(code, entry_point="square")
        (outcome,) = sandbox.run(program, [Input(arguments="(7,)")], QUICK)
    assert outcome.value != "49"


def test_statuses_of_functions_that_leave_early() -> None:
    with fusion_server() as server, connected(server) as sandbox:
        for leave in ("import os; os._exit(0)", "raise SystemExit(0)", "exit()"):
            program = Program(f"def square(x):\n    {leave}\n", entry_point="square")
            (outcome,) = sandbox.run(program, [Input(arguments="(7,)")], QUICK)
            assert outcome.status is Status.EXCEPTION, leave


def test_a_server_that_drops_the_end_of_output_reached_the_limit() -> None:
    with fusion_server() as server, connected(server) as sandbox:
        program = Program("def f():\n    print('x' * 2**21)", entry_point="f")
        (outcome,) = sandbox.run(program, [Input()], Limits(output_bytes=1 << 22))
    assert outcome.status is Status.OUTPUT_LIMIT


def test_requests_are_of_the_server_s_shape_and_in_order() -> None:
    with fusion_server() as server, connected(server) as sandbox:
        sandbox.run(Program("print(input())"), [Input("a"), Input("b")], QUICK)
        first, second = server.bodies[1:]
    assert (first["stdin"], second["stdin"]) == ("a", "b")
    assert first["language"] == "python"
    assert first["run_timeout"] == QUICK.wall_seconds
    assert first["memory_limit_MB"] == QUICK.memory_bytes >> 20
    first["code"].encode("ascii")
