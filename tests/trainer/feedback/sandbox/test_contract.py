"""What every sandbox does alike: behind bubblewrap, without walls, and on a server."""

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.bubblewrap import needs_bubblewrap
from tests.trainer.feedback.sandbox.fusion_server import fusion_server
from trainer.feedback.sandbox import values
from trainer.feedback.sandbox.bubblewrap import BubblewrapSandbox
from trainer.feedback.sandbox.sandbox_fusion import SandboxFusion
from trainer.feedback.sandbox.types import Input, Limits, Outcome, Program, Sandbox, Status
from trainer.feedback.sandbox.unconfined import UnconfinedSandbox

# With `PYTHONHASHSEED=0`, in the wire form of integers.
HASH = [
    "int",
    subprocess.run(
        [sys.executable, "-c", "print(hex(hash('seed')))"],
        env={"PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip(),
]
QUICK = Limits(cpu_seconds=0.5, wall_seconds=4.0, memory_bytes=256 << 20)


@pytest.fixture(
    scope="module",
    params=[pytest.param("bubblewrap", marks=needs_bubblewrap), "none", "sandbox_fusion"],
)
def sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    match request.param:
        case "bubblewrap":
            with BubblewrapSandbox(1) as walls:
                yield walls
        case "none":
            with UnconfinedSandbox(1) as none:
                yield none
        case _:
            with fusion_server() as server, SandboxFusion(server.url, 1) as fusion:
                yield fusion


def called(sandbox: Sandbox, code: str, arguments: str = "()", keywords: str = "{}") -> Outcome:
    """What comes of one call of the program's function `f`."""
    given = Input(arguments=arguments, keywords=keywords)
    (outcome,) = sandbox.run(Program(code, entry_point="f"), [given], QUICK)
    return outcome


def scripted(sandbox: Sandbox, code: str, stdin: str = "") -> Outcome:
    (outcome,) = sandbox.run(Program(code), [Input(stdin)], QUICK)
    return outcome


def test_outcomes_come_in_the_order_of_the_inputs(sandbox: Sandbox) -> None:
    inputs = [Input(arguments=f"({number},)") for number in range(5)]
    program = Program("def f(x):\n    return 10 // (x - 2)", entry_point="f")
    outcomes = sandbox.run(program, inputs, QUICK)
    assert [each.status.value for each in outcomes] == ["ok", "ok", "exception", "ok", "ok"]
    assert [each.value for each in outcomes] == ["-5", "-10", "", "10", "5"]
    assert outcomes[2].error == "ZeroDivisionError"
    assert sandbox.run(program, [], QUICK) == []


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("def f(): return 1", Status.OK),
        ("def f(): return", Status.OK),
        ("def f(): raise KeyError", Status.EXCEPTION),
        ("def g(): return 1", Status.EXCEPTION),
        ("def f(): return 1\n1 / 0", Status.EXCEPTION),
        ("def f(): exit(0)", Status.EXCEPTION),
        ("import os\ndef f(): os._exit(0)", Status.EXCEPTION),
        ("def f(: return 1", Status.COMPILE),
        ("def f(): return object()", Status.EXCEPTION),
        ("def f():\n    while True: pass", Status.TIMEOUT),
        ("def f(): return bytearray(1 << 40)", Status.MEMORY),
        ("def f(): return 'x' * (1 << 21)", Status.OUTPUT_LIMIT),
        ("def f():\n    while True: print('x' * 65536)", Status.OUTPUT_LIMIT),
    ],
)
def test_each_status_of_a_function(sandbox: Sandbox, code: str, status: Status) -> None:
    outcome = called(sandbox, code)
    assert outcome.status is status, outcome
    assert (outcome.value != "") == (status is Status.OK)


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("print(1)", Status.OK),
        ("", Status.OK),
        ("import sys; print(1); sys.exit()", Status.OK),
        ("print(1); exit(0)", Status.OK),
        ("import os; os._exit(0)", Status.OK),
        ("import sys; sys.exit(3)", Status.EXCEPTION),
        ("import sys; sys.exit('no')", Status.EXCEPTION),
        ("print(1); raise ValueError", Status.EXCEPTION),
        ("print(1", Status.COMPILE),
        ("while True: pass", Status.TIMEOUT),
        ("x = bytearray(1 << 40)", Status.MEMORY),
        ("while True: print('x' * 65536)", Status.OUTPUT_LIMIT),
    ],
)
def test_each_status_of_a_script(sandbox: Sandbox, code: str, status: Status) -> None:
    assert scripted(sandbox, code).status is status


def test_a_program_that_sleeps_meets_the_limit_of_wall_time(sandbox: Sandbox) -> None:
    sleeping = Program("import time; time.sleep(30)")
    (outcome,) = sandbox.run(sleeping, [Input()], Limits(wall_seconds=0.5))
    assert outcome.status is Status.TIMEOUT
    assert outcome.cpu_seconds < 5


@pytest.mark.parametrize(
    "code",
    [
        "print(input(), input())",
        "import sys; a, b = sys.stdin; print(a.strip(), b.strip())",
        "import sys; sys.stdout.buffer.write(b' '.join(sys.stdin.buffer.read().split()) + b'\\n')",
        "import os; os.write(1, os.read(0, 99).replace(b'\\n', b' ', 1))",
        "a, b = open(0); print(a.strip(), b.strip())",
        "if __name__ == '__main__': print(input(), input())",
        "import atexit; a = input(); atexit.register(lambda: print(a, input()))",
        "import threading\ndef main(): print(input(), input())\n"
        "threading.Thread(target=main).start()",
        "import fileinput; a, b = fileinput.input(); print(a.strip(), b.strip())",
        "print(*open('/dev/stdin').read().split())",
        "import sys; print(input(), input()); sys.stdout.close()",
        "import sys\nassert 'x' in sys.stdin.mode or 'r' in sys.stdin.mode\n"
        "assert 'r' not in sys.stdout.mode\nprint(input(), input())",
        "\ufeffprint(input(), input())",
        "import argparse, os; argparse.ArgumentParser().parse_args()\n"
        "os.path.dirname(os.path.abspath(__file__)); print(input(), input())",
        "from multiprocessing import Pool\n"
        "with Pool(2) as pool: print(*pool.map(str, [input(), input()]))",
    ],
)
def test_a_script_reads_and_writes_in_every_usual_way(sandbox: Sandbox, code: str) -> None:
    outcome = scripted(sandbox, code, "größe\n二\n")
    assert (outcome.status, outcome.stdout) == (Status.OK, "größe 二\n"), outcome


def test_input_that_nobody_reads_and_output_without_an_end_of_line(sandbox: Sandbox) -> None:
    outcome = scripted(sandbox, "print('no', end='')", "x" * (1 << 20))
    assert (outcome.status, outcome.stdout) == (Status.OK, "no")


def test_arguments_are_evaluated_after_the_setup_and_before_the_code(sandbox: Sandbox) -> None:
    program = Program(
        "def made(): return 'of the code'\ndef f(x, *, y): return [x, y]",
        entry_point="f",
        setup="from fractions import Fraction\ndef made(): return 'of the setup'",
    )
    given = Input(arguments="(Fraction(1, 3) + 0,)", keywords="{'y': made()}")
    (outcome,) = sandbox.run(program, [given], QUICK)
    assert values.decode(outcome.value) == [values.decode('["fraction",1,3]'), "of the setup"]


def test_a_method_of_a_class(sandbox: Sandbox) -> None:
    code = "class Solution:\n    def __init__(self): self.k = 2\n"
    code += "    def f(self, x): return x * self.k"
    program = Program(code, entry_point="Solution.f")
    (outcome,) = sandbox.run(program, [Input(arguments="(21,)")], QUICK)
    assert outcome.value == "42"


@pytest.mark.parametrize(
    "text",
    [
        "10**6000 + 1",
        "-(2**70)",
        "{'ключ': [1.5, float('inf')], (1, 2): {3, 4}}",
        r"'𝛑 \x00 \u2028 line\nbreak'",
        r"[True, None, b'\xff', (1,), [1]]",
        "0.1 + 0.2",
    ],
)
def test_values_come_out_as_they_went_in(sandbox: Sandbox, text: str) -> None:
    outcome = called(sandbox, "def f(x): return x", f"({text},)")
    assert outcome.status is Status.OK, outcome
    assert values.decode(outcome.value) == eval(text)  # noqa: S307 - one of the above


def test_integers_may_be_written_in_any_length(sandbox: Sandbox) -> None:
    outcome = scripted(sandbox, "print(len(str(10 ** 5000)))")
    assert outcome.stdout == "5001\n"


def test_a_check_is_passed_only_if_its_end_was_reached(sandbox: Sandbox) -> None:
    program = Program("def f(x):\n    if x: exit(0)\n    return x")
    checks = ("assert f(0) == 0", "assert f(0) == 1", "assert f(1) == 1", "assert f(")
    outcomes = sandbox.run(program, [Input(check=each) for each in checks], QUICK)
    assert [each.status is Status.OK for each in outcomes] == [True, False, False, False]


def test_output_is_cut_at_its_limit(sandbox: Sandbox) -> None:
    program = Program("print('x' * 2000)")
    (outcome,) = sandbox.run(program, [Input()], Limits(output_bytes=1000))
    assert outcome.status is Status.OUTPUT_LIMIT
    assert len(outcome.stdout) <= 1000


def test_every_run_is_fresh_and_equal(sandbox: Sandbox) -> None:
    code = "import os, time\nkept = []\ndef f(x):\n    kept.append(x)\n"
    code += "    return [len(kept), hash('seed'), time.tzname[0], ''.join(set('abcdef')),"
    code += " 'λ'.encode() == os.fsencode('λ')]"
    first, second = sandbox.run(
        Program(code, entry_point="f"), [Input(arguments="(1,)")] * 2, QUICK
    )
    assert first.value == second.value
    # That of seed 0, so that every worker has the same.
    assert json.loads(first.value)[1:3] == [1, HASH]


def test_what_a_program_prints_is_no_value(sandbox: Sandbox) -> None:
    outcome = called(sandbox, "def f():\n    print('ok 49')\n    return 48")
    assert (outcome.stdout, outcome.value) == ("ok 49\n", "48")
