"""Programs are graded outside of the sandbox, and nothing that a program does makes it pass."""

from collections.abc import Iterator

import pytest

from tests.bubblewrap import needs_bubblewrap
from trainer.feedback.grading import Grader, fault_of, pass_count
from trainer.feedback.pass_count import PassCount, Verdict
from trainer.feedback.problem import AssertTest, CallTest, Problem, StdioTest, Test
from trainer.feedback.sandbox.open import SandboxConfig, open_sandbox
from trainer.feedback.sandbox.types import Input, Limits, Outcome, Program, Sandbox
from trainer.feedback.statements import Ungradable

pytestmark = needs_bubblewrap

OK, WRONG, EXCEPTION = Verdict.OK, Verdict.WRONG, Verdict.EXCEPTION
LIMITS = Limits(cpu_seconds=1.0, wall_seconds=5.0)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with open_sandbox(SandboxConfig(workers=1)) as opened:
        yield opened


@pytest.fixture
def grader(sandbox: Sandbox) -> Grader:
    return Grader(sandbox, LIMITS)


def function(*tests: Test | str, setup: str = "", gold: str = "", alike: bool = False) -> Problem:
    made = tuple(AssertTest(test) if isinstance(test, str) else test for test in tests)
    return Problem(
        "p", "p", "function", "", "f", setup=setup, gold=gold, tests=made, sequences_alike=alike
    )


def test_scripts_are_judged_by_what_they_print(grader: Grader) -> None:
    problem = Problem(
        "p", "p", "script", "", tests=(StdioTest("1 2\n", "3\n"), StdioTest("5 5", "10"))
    )
    assert grader.grade(problem, "print(sum(map(int, input().split())))") == (OK, OK)
    assert grader.grade(problem, "print(3.0000001)") == (OK, WRONG)
    assert grader.grade(problem, "print(3); raise ValueError") == (EXCEPTION, EXCEPTION)
    assert grader.grade(problem, "") == (WRONG, WRONG)
    assert grader.grade(problem, "print(") == (Verdict.COMPILE, Verdict.COMPILE)


def test_calls_are_judged_by_their_values(grader: Grader) -> None:
    problem = function(
        CallTest("(1, 2)", "3"),
        CallTest("([1],)", "[1, 0]", "{'b': [0]}"),
        CallTest("(0.1, 0.2)", "0.3"),
    )
    assert grader.grade(problem, "def f(a, b): return a + b") == (OK, OK, OK)
    assert grader.grade(problem, "def f(a, b): return 3.0") == (OK, WRONG, WRONG)
    assert grader.grade(problem, "def f(a, b): return (1, 0)") == (WRONG, WRONG, WRONG)


def test_tuples_count_as_lists_where_the_tests_come_from_json(grader: Grader) -> None:
    problem = function(CallTest("()", "[[1, 2]]"), alike=True)
    assert grader.grade(problem, "def f(): return [(1, 2)]") == (OK,)


def test_expected_values_may_need_the_setup(grader: Grader) -> None:
    problem = function(
        CallTest("(N,)", "Counter('aab')"),
        "assert f(N) == set()",
        setup="from collections import Counter\nN = 5",
    )
    assert grader.grade(problem, "def f(n): return {'a': 2, 'b': 1}") == (OK, WRONG)
    assert grader.grade(problem, "def f(n): return set() if n == 5 else 0") == (WRONG, OK)


@pytest.mark.parametrize(
    ("test", "value", "verdict"),
    [
        ("assert f() == 1", "True", OK),  # as Python's equality has it
        ("assert f() is True", "1", WRONG),
        ("assert f() is None", "None", OK),
        ("assert f()", "[0]", OK),
        ("assert not f()", "[]", OK),
        ("assert not f()", "[0]", WRONG),
        ("assert f() == (1, 2)", "[1, 2]", WRONG),
        ("assert set(f()) == {1, 2}", "[2, 1, 1]", OK),
        ("assert sorted(f()) == [1, 2]", "{2, 1}", OK),
        ("assert abs(f() - 0.3) < 1e-9", "0.1 + 0.2", OK),
        ("assert math.isclose(f(), 0.3, rel_tol=1e-3)", "0.3001", OK),
        ("assert math.isclose(f(), 0.3, rel_tol=1e-3)", "0.31", WRONG),
        ("assert f() != 3", "4", OK),
        ("assert len(f()) == 2", "None", WRONG),
        ("assert list(f()) == [1, 2]", "(n for n in (1, 2))", OK),
    ],
)
def test_every_form_of_assert(grader: Grader, test: str, value: str, verdict: Verdict) -> None:
    problem = function(test, setup="import math")
    assert grader.grade(problem, f"def f(): return {value}") == (verdict,)


def test_a_test_may_call_many_times_and_go_on_from_results(grader: Grader) -> None:
    problem = function(
        "for i in range(4):\n    assert f(i) == 2 * i",
        "assert f(f(1)) == 4",
        "x = f(1)\nassert f(x) == x + x",
    )
    for _ in range(2):  # the second time the calls are known
        assert grader.grade(problem, "def f(x): return x + x") == (OK, OK, OK)
        assert grader.grade(problem, "def f(x): return x * x + x") == (WRONG, WRONG, WRONG)
        assert grader.grade(problem, "def f(x): return {0: 0, 1: 2}[x]") == (EXCEPTION,) * 3


def test_a_test_may_draw_its_arguments(grader: Grader) -> None:
    test = "import random\nfor _ in range(5):\n    x = random.random()\n    assert f(x) == x"
    problem = function(test)
    assert grader.grade(problem, "def f(x): return x") == (OK,)
    assert grader.grade(problem, "def f(x): return 0") == (WRONG,)


def test_a_test_may_expect_an_exception(grader: Grader) -> None:
    test = "try:\n    f(-1)\nexcept ValueError:\n    pass\nelse:\n    assert False"
    problem = function(test)
    assert grader.grade(problem, "def f(x): raise ValueError") == (OK,)
    assert grader.grade(problem, "def f(x): raise KeyError") == (EXCEPTION,)
    assert grader.grade(problem, "def f(x): return 1") == (WRONG,)


def test_a_test_may_expect_an_exception_of_the_setup(grader: Grader) -> None:
    test = "try:\n    f(1)\n    assert False\nexcept Odd:\n    pass"
    setup = "class Odd(Exception): pass"
    problem = Problem("1", "1", "function", "", "f", setup=setup, tests=(AssertTest(test),))
    assert grader.grade(problem, "def f(x): raise Odd") == (OK,)
    assert grader.grade(problem, "def f(x): raise KeyError") != (OK,)


EQUALS_EVERYTHING = """
class E{base}:
    def __eq__(self, other): return True
    __hash__ = object.__hash__
def f(x): return E({value})
"""
READS_FRAMES = """
import sys
def f(x):
    seen, frame = [], sys._getframe()
    while frame:
        seen += [value for value in frame.f_locals.values() if isinstance(value, int)]
        frame = frame.f_back
    return next((value for value in seen if value == 1234567), seen)
"""
PATCHES_BUILTINS = """
import builtins
builtins.AssertionError = Exception
builtins.abs = lambda x: 0
def f(x): return 7
"""
TELLS_ITSELF = """
import os, sys
def f(x):
    frame = sys._getframe()
    while frame:
        for value in frame.f_locals.values():
            if hasattr(value, "tell") and hasattr(value, "nonce"):
                value.tell("ok", '["nonsense"]')
                os._exit(0)
        frame = frame.f_back
"""
CHEATS = {
    "tells a result itself": TELLS_ITSELF,
    "equals everything": EQUALS_EVERYTHING.format(base="", value=""),
    "equals everything, as a number": EQUALS_EVERYTHING.format(base="(int)", value="7"),
    "exits": "import sys\nsys.exit(0)",
    "exits at once": "import os\nos._exit(0)",
    "exits in the call": "def f(x):\n    import os\n    os._exit(0)",
    "exits at the end": "import atexit, os\natexit.register(os._exit, 0)\ndef f(x): return 7",
    "decorator tail": "def f(x): return 7\n\n@lambda g: None",
    "syntax error": "def f(x: return 7",
    "quits": "def f(x): raise SystemExit(0)",
    "is a stub": "def f(x): ...",
    "reads the frames": READS_FRAMES,
    "patches the builtins": PATCHES_BUILTINS,
    "nothing": "",
}


@pytest.mark.parametrize("cheat", CHEATS)
def test_no_program_talks_itself_into_a_pass(grader: Grader, cheat: str) -> None:
    problem = function(
        "assert f(1) == 1234567",
        "assert set(f(1)) == {1234567}",
        "assert abs(f(1) - 1234567) < 1e-6",
        "assert f(1) in [1234567]",
        CallTest("(1,)", "1234567"),
    )
    assert OK not in grader.grade(problem, CHEATS[cheat])
    script = Problem("s", "s", "script", "", tests=(StdioTest("1", "1234567"),))
    assert OK not in grader.grade(script, CHEATS[cheat])


class Watched:
    """A sandbox that keeps all that it is given."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.isolation, self.workers = sandbox.isolation, sandbox.workers
        self._sandbox = sandbox
        self.seen: list[tuple[Program, Input]] = []

    def run(self, program: Program, inputs: list[Input], limits: Limits) -> list[Outcome]:
        self.seen += [(program, each) for each in inputs]
        return self._sandbox.run(program, inputs, limits)

    def close(self) -> None: ...
    def __enter__(self) -> "Watched":
        return self

    def __exit__(self, *_: object) -> None: ...


def test_what_is_expected_never_enters_together_with_a_program(sandbox: Sandbox) -> None:
    watched = Watched(sandbox)
    problem = function(
        "assert f(1) == 1234567",
        "assert f(1) == 1234566 + 1",
        "assert f(1) in [1234567]",
        "x = 1234567\nassert f(f(1)) == x",
        CallTest("(1,)", "1234567"),
        CallTest("(1,)", "int('1234567')"),
    )
    Grader(watched, LIMITS).grade(problem, "def f(x): return '-mark-'")
    with_program = [repr(each) for each in watched.seen if "-mark-" in each[0].code]
    assert len(with_program) >= 6
    assert not [each for each in with_program if "123456" in each]


def test_each_time_out_may_end_a_program(sandbox: Sandbox) -> None:
    limits = Limits(cpu_seconds=0.2, wall_seconds=5.0)
    tests = [f"assert f({n}) == 0" for n in range(20)]
    watched = Watched(sandbox)
    grader = Grader(watched, limits, max_timeouts=2)
    code = "def f(n):\n    while n: pass\n    return 0"
    assert grader.grade(function(*tests), code) == (OK,) + (Verdict.TIMEOUT,) * 19
    assert len(watched.seen) == 3


def test_a_sample_that_the_sandbox_failed_on_has_no_count() -> None:
    problem = function("assert f() == 1")
    assert pass_count("s", problem, (OK, WRONG)) == PassCount("s", "p", 1, 2, (OK, WRONG))
    assert pass_count("s", problem, (OK, Verdict.INFRASTRUCTURE)) is None


def test_only_tests_that_the_reference_alone_passes_judge_anything(grader: Grader) -> None:
    gold = "def f(x): return x"
    assert fault_of(function("assert f(1) == 1", gold=gold), grader) == ""
    wrong = function("assert f(1) == 1", "assert f(1) == 2", gold=gold)
    assert fault_of(wrong, grader) == "the reference does not pass (wrong)"
    prints_nothing = Problem("p", "p", "script", "", tests=(StdioTest("", ""),))
    assert fault_of(prints_nothing, grader) == "an empty program passes"
    assert "before it calls" in fault_of(function("assert g(f(1)) == 1", gold=gold), grader)


@pytest.mark.parametrize(
    ("test", "reason"),
    [
        ("assert nothing(f) == 1", "before it calls the function"),
        ("assert f(object()) in [1]", "cannot be run alone"),
        ("import os\nfor _ in range(3): assert f(os.urandom(8)) == 1", "differently each time"),
        (CallTest("(1,)", "object()"), "no plain data"),
    ],
)
def test_a_test_that_judges_nothing_is_told(grader: Grader, test: Test | str, reason: str) -> None:
    with pytest.raises(Ungradable, match=reason):
        grader.grade(function(test), "def f(x): return 1")
