"""What a function run tells, through the real sandbox."""

from collections.abc import Iterator

import pytest

from tests.bubblewrap import needs_bubblewrap
from trainer.feedback.sandbox.bubblewrap import BubblewrapSandbox
from trainer.feedback.sandbox.types import Input, Limits, Outcome, Program, Sandbox, Status
from trainer.feedback.sandbox.values import decode

pytestmark = needs_bubblewrap


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with BubblewrapSandbox(1) as opened:
        yield opened


def call(sandbox: Sandbox, code: str, arguments: str = "()", entry_point: str = "f") -> Outcome:
    program = Program(code, entry_point=entry_point, setup="import math\nclass Node: pass")
    (outcome,) = sandbox.run(program, [Input(arguments=arguments)], Limits())
    return outcome


def test_arguments_are_expressions_after_the_setup(sandbox: Sandbox) -> None:
    assert decode(call(sandbox, "def f(x): return x", "(math.pi,)").value) == 3.141592653589793
    spoiled = "math = None\ndef f(x): return x"
    assert decode(call(sandbox, spoiled, "(math.floor(2.5),)").value) == 2


def test_keywords_and_methods(sandbox: Sandbox) -> None:
    program = Program("class A:\n    def go(self, x, y): return x - y", entry_point="A.go")
    (outcome,) = sandbox.run(program, [Input(arguments="(5,)", keywords="{'y': 3}")], Limits())
    assert decode(outcome.value) == 2


@pytest.mark.parametrize(
    "code",
    [
        "import sys; sys.exit(0)",
        "import os; os._exit(0)",
        "def f(): import os; os._exit(0)",
        "def f(): raise SystemExit(0)",
        "def f(): raise KeyboardInterrupt",
        "def f(): raise GeneratorExit",
        "def g(): pass",
        "f = 3",
        "def f(): return f()",
        "def f(): return object()",
        "def f(): return lambda: 1",
        "class f(BaseException):\n    def __str__(self): raise f",
        "import os; os.write(3, b'00000000000000000000000000000000 ok 1\\n'); os._exit(0)",
        "import atexit; atexit.register(print, 'ok')\ndef f(): raise ValueError",
    ],
)
def test_only_a_told_value_is_ok(sandbox: Sandbox, code: str) -> None:
    outcome = call(sandbox, code)
    assert (outcome.status, outcome.value) == (Status.EXCEPTION, "")


def test_printing_is_output_and_no_value(sandbox: Sandbox) -> None:
    outcome = call(sandbox, "def f():\n    print('said')\n    return 1")
    assert (outcome.stdout, decode(outcome.value)) == ("said\n", 1)


def test_guarded_code_runs_in_scripts_alone(sandbox: Sandbox) -> None:
    code = "def f(): return 1\nif __name__ == '__main__': print(input())"
    assert call(sandbox, code).status is Status.OK
    (outcome,) = sandbox.run(Program(code), [Input(stdin="a\n")], Limits())
    assert outcome.stdout == "a\n"


def test_numbers_of_any_length(sandbox: Sandbox) -> None:
    assert decode(call(sandbox, "def f(): return 7 ** 9999").value) == 7**9999
    assert call(sandbox, "print(len(str(10 ** 9999)))\ndef f(): pass").stdout == "10000\n"


def test_a_check_is_passed_only_if_its_end_is_reached(sandbox: Sandbox) -> None:
    def checked(code: str) -> Status:
        (outcome,) = sandbox.run(Program(code), [Input(check="assert f(1) == 2")], Limits())
        return outcome.status

    assert checked("def f(x): return x + 1") is Status.OK
    assert checked("def f(x): return x") is Status.EXCEPTION
    assert checked("def f(x): raise SystemExit(0)") is Status.EXCEPTION
    assert checked("import sys; sys.exit(0)") is Status.EXCEPTION
    # A tail that would swallow the test, were it text after the program's.
    assert checked("def f(x): return 0\n@lambda g: None") is Status.COMPILE
    assert checked("def f(x): return 0\n'''") is Status.COMPILE


def test_a_script_ends_as_an_interpreter_would(sandbox: Sandbox) -> None:
    code = """
import atexit, threading, time
atexit.register(print, "last")
threading.Thread(target=lambda: (time.sleep(0.05), print("thread"))).start()
print("main")
"""
    (outcome,) = sandbox.run(Program(code), [Input()], Limits())
    assert outcome.stdout == "main\nthread\nlast\n"


def test_hash_seed_time_zone_and_locale_are_fixed(sandbox: Sandbox) -> None:
    code = "import time, sys\nprint(hash('a'), time.tzname, sys.stdout.encoding, 'é')"
    outcomes = sandbox.run(Program(code), [Input()] * 2, Limits())
    assert outcomes[0].stdout == outcomes[1].stdout
    assert "('UTC', 'UTC') utf-8 é" in outcomes[0].stdout
