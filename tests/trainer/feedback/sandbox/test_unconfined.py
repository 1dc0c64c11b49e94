from trainer.feedback.sandbox.open import SandboxConfig, open_sandbox
from trainer.feedback.sandbox.types import Input, Limits, Outcome, Program, Status
from trainer.feedback.sandbox.values import decode

QUICK = Limits(cpu_seconds=0.3, wall_seconds=5.0, output_bytes=10_000)


def run(code: str, entry_point: str = "", **given: str) -> Outcome:
    with open_sandbox(SandboxConfig(isolation="none")) as sandbox:
        assert sandbox.isolation == "none"
        (outcome,) = sandbox.run(Program(code, entry_point), [Input(**given)], QUICK)
    return outcome


def test_scripts_and_functions_run_in_a_process_of_their_own() -> None:
    assert run("print(int(input()) + 1)", stdin="2\n").stdout == "3\n"
    assert decode(run("def f(x): return (x,)", "f", arguments="(1,)").value) == (1,)


def test_limits_hold() -> None:
    assert run("while True: pass").status is Status.TIMEOUT
    assert run("while True: print('x' * 999)").status is Status.OUTPUT_LIMIT
    assert run("x = [0] * 10**9").status is Status.MEMORY


def test_children_end_with_the_run() -> None:
    outcome = run("import os, time\nif os.fork() == 0: time.sleep(60)\nprint('main')")
    assert (outcome.status, outcome.stdout) == (Status.OK, "main\n")
