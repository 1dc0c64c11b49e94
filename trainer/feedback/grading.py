"""Grades programs by the tests of their problem: a verdict for each test.

The parent grades. A program gets inputs only, and what it returns or prints is compared here: what
is expected never enters the sandbox together with a program.
"""

import ast
import threading
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal

from trainer.feedback.asserts import plain_assert
from trainer.feedback.compare import EqualityRules, equal_texts, equal_values
from trainer.feedback.pass_count import PassCount, Verdict
from trainer.feedback.problem import CallTest, Problem, StdioTest
from trainer.feedback.sandbox.types import Input, Limits, Outcome, Program, Sandbox, Status
from trainer.feedback.sandbox.values import decode
from trainer.feedback.statements import StatementJudge, Ungradable
from trainer.feedback.threads import in_threads
from trainer.feedback.verdict_ledger import VerdictLedger, verdicts_key
from trainer.pipeline.stage import StageError

SANDBOX_FAILED = "the sandbox failed"
"""The one reason of `fault_of` that says nothing about the problem."""
UNGRADABLE = "their problem's tests judge nothing"

Submission = tuple[Problem, str]
"""A problem and a program for it."""


class InfrastructureError(Exception):
    """The sandbox failed where no program was run, so that a problem could not be prepared."""


@dataclass(frozen=True)
class _PrintCheck:
    """A script's input, and what it must print."""

    given: Input
    expected: str


@dataclass(frozen=True)
class _ValueCheck:
    """The arguments of a call, and what it must return."""

    given: Input
    expected: object
    relation: Literal["equal", "identical", "truth"]
    comparison: EqualityRules


@dataclass(frozen=True)
class _StatementCheck:
    """A statement that must reach its end."""

    code: str


_Check = _PrintCheck | _ValueCheck | _StatementCheck


class Grader:
    """Grades programs in a sandbox. Any number of threads may call it.

    Args:
        tolerance: absolute or relative difference of numbers that count as equal.
        max_timeouts: after this many time-outs a program is not run on further tests, and counts as
            timed out there, too; None runs it on all.
        ledger: verdicts that are known from earlier, and where new ones go.

    Raises:
        StageError: with these settings no program could pass, or any would.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        limits: Limits,
        *,
        tolerance: float = 1e-6,
        max_timeouts: int | None = None,
        ledger: VerdictLedger | None = None,
    ) -> None:
        if max_timeouts is not None and max_timeouts < 1:
            raise StageError(f"max_timeouts is {max_timeouts}: it must be at least 1, or absent")
        if not 0 <= tolerance < 1:
            raise StageError(f"tolerance is {tolerance}: it must be at least 0 and below 1")
        self._sandbox = sandbox
        self._limits = limits
        self._tolerance = tolerance
        self._max_timeouts = max_timeouts
        self._ledger = ledger
        self._settings = (asdict(limits), tolerance, max_timeouts, sandbox.isolation)
        self._statement_judge = StatementJudge(sandbox, limits)
        self._checks: dict[Problem, Sequence[_Check]] = {}
        self._preparing = threading.Lock()

    def grade(self, problem: Problem, code: str) -> tuple[Verdict, ...]:
        """Verdicts of a program, one for each test in their order.

        Raises:
            Ungradable: a test judges nothing, whatever the program.
            InfrastructureError: the sandbox failed before the program was run.
        """
        if self._ledger is None:
            return self._grade(problem, code)
        key = verdicts_key(problem, code, self._settings)
        verdicts = self._ledger.find(key)
        if verdicts is None:
            verdicts = self._grade(problem, code)
            self._ledger.append(key, verdicts)
        return verdicts

    def _grade(self, problem: Problem, code: str) -> tuple[Verdict, ...]:
        checks = self._prepared(problem)
        program = Program(code, problem.entry_point, problem.setup)
        inputs = [each.given for each in checks if not isinstance(each, _StatementCheck)]
        outcomes = iter(self._run(program, inputs))
        verdicts = []
        for check in checks:
            if not isinstance(check, _StatementCheck):
                verdicts.append(_verdict(check, next(outcomes), self._tolerance))
            elif verdicts.count(Verdict.TIMEOUT) == self._max_timeouts:
                verdicts.append(Verdict.TIMEOUT)
            else:
                verdicts.append(self._statement_judge.verdict(program, check.code))
        return tuple(verdicts)

    def _run(self, program: Program, inputs: list[Input]) -> list[Outcome]:
        if self._max_timeouts is None:
            return self._sandbox.run(program, inputs, self._limits) if inputs else []
        outcomes: list[Outcome] = []
        left = self._max_timeouts
        for given in inputs:
            if left > 0:
                outcomes += self._sandbox.run(program, [given], self._limits)
                left -= outcomes[-1].status is Status.TIMEOUT
            else:
                outcomes.append(Outcome(Status.TIMEOUT, error="not run after other time-outs"))
        return outcomes

    def _prepared(self, problem: Problem) -> Sequence[_Check]:
        """The checks of a problem, made once."""
        with self._preparing:
            checks = self._checks.get(problem)
        if checks is None:
            checks = self._prepare(problem)
            with self._preparing:
                self._checks[problem] = checks
        return checks

    def _prepare(self, problem: Problem) -> Sequence[_Check]:
        """Tests -> checks. Expected values that are no literals are evaluated in one run."""
        if not problem.tests:
            raise Ungradable("no tests")
        comparison = EqualityRules(self._tolerance, problem.sequences_alike)
        python = EqualityRules(self._tolerance, problem.sequences_alike, booleans_are_numbers=True)
        forms: list[_PrintCheck | _StatementCheck | tuple[_ValueCheck, str]] = []
        for test in problem.tests:
            if isinstance(test, StdioTest):
                forms.append(_PrintCheck(Input(test.stdin), test.stdout))
                continue
            if isinstance(test, CallTest):
                given = Input(arguments=test.arguments, keywords=test.keywords)
                forms.append((_ValueCheck(given, None, "equal", comparison), test.expected))
                continue
            plain = plain_assert(test.code, problem.entry_point)
            if plain is None:
                forms.append(_StatementCheck(test.code))
                continue
            given = Input(arguments=plain.arguments, keywords=plain.keywords)
            forms.append((_ValueCheck(given, None, plain.relation, python), plain.expected))
        known = self._evaluated(problem, [form[1] for form in forms if isinstance(form, tuple)])
        checks: list[_Check] = []
        for form, test in zip(forms, problem.tests, strict=True):
            if not isinstance(form, tuple):
                checks.append(form)
                continue
            check, expression = form
            if expression in known:
                checks.append(
                    _ValueCheck(check.given, known[expression], check.relation, check.comparison)
                )
            elif isinstance(test, CallTest):
                raise Ungradable("an expected value that is no plain data")
            else:
                assert not isinstance(test, StdioTest)
                checks.append(_StatementCheck(test.code))
        return checks

    def _evaluated(self, problem: Problem, expressions: list[str]) -> dict[str, object]:
        """Values of expected expressions; one that is no plain data has none."""
        known: dict[str, object] = {}
        open_: list[str] = []
        for expression in dict.fromkeys(expressions):
            try:
                known[expression] = ast.literal_eval(expression)
            except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
                open_.append(expression)
        if not open_:
            return known
        # No program of a model is in these runs.
        returned = Program("def expected(value): return value", "expected", problem.setup)
        inputs = [Input(arguments=f"({expression},)") for expression in open_]
        outcomes = self._sandbox.run(returned, inputs, self._limits)
        for expression, outcome in zip(open_, outcomes, strict=True):
            if outcome.status is Status.INFRASTRUCTURE:
                raise InfrastructureError(outcome.error)
            if outcome.status is Status.OK:
                known[expression] = decode(outcome.value)
        return known


def _verdict(check: _PrintCheck | _ValueCheck, outcome: Outcome, tolerance: float) -> Verdict:
    # The status comes first: only a run that ended well has an output.
    if outcome.status is not Status.OK:
        return Verdict(outcome.status)
    if isinstance(check, _PrintCheck):
        equal = equal_texts(outcome.stdout, check.expected, EqualityRules(tolerance))
        return Verdict.OK if equal else Verdict.WRONG
    try:
        value = decode(outcome.value)
    except ValueError:
        return Verdict.WRONG  # the program wrote to the descriptor of results itself
    match check.relation:
        case "equal":
            equal = equal_values(value, check.expected, check.comparison)
        case "identical":
            equal = value is check.expected
        case "truth":
            equal = bool(value) is check.expected
    return Verdict.OK if equal else Verdict.WRONG


def grade_all(
    grader: Grader, submissions: Iterable[Submission], workers: int
) -> dict[Submission, tuple[Verdict, ...] | str]:
    """The verdicts of each different program, or the reason why it has none.

    The reasons are UNGRADABLE and SANDBOX_FAILED.
    """

    def grade(submission: Submission) -> tuple[Verdict, ...] | str:
        try:
            return grader.grade(*submission)
        except Ungradable:
            return UNGRADABLE
        except InfrastructureError:
            return SANDBOX_FAILED

    different = list(dict.fromkeys(submissions))
    graded = in_threads(grade, different, workers, what="grade", unit="programs")
    return dict(zip(different, graded, strict=True))


def pass_count(sample: str, problem: Problem, verdicts: Sequence[Verdict]) -> PassCount | None:
    """How many tests a sample passes; None if the sandbox failed on one: that is no label."""
    if Verdict.INFRASTRUCTURE in verdicts:
        return None
    passed = verdicts.count(Verdict.OK)
    return PassCount(sample, problem.id, passed, len(verdicts), tuple(verdicts))


def fault_of(problem: Problem, grader: Grader) -> str:
    """Why the tests of a problem judge nothing, or "": the reference must pass, and nothing else.

    An empty program must fail at least one test.
    """
    try:
        if problem.gold:
            verdicts = grader.grade(problem, problem.gold)
            failures = [each for each in verdicts if each is not Verdict.OK]
            if Verdict.INFRASTRUCTURE in failures:
                return SANDBOX_FAILED
            if failures:
                return f"the reference does not pass ({failures[0]})"
        # Nearly always the first test tells, and then the others need not run.
        for tests in (problem.tests[:1], problem.tests):
            verdicts = grader.grade(replace(problem, tests=tests), "")
            if Verdict.INFRASTRUCTURE in verdicts:
                return SANDBOX_FAILED
            if set(verdicts) != {Verdict.OK}:
                return ""
    except Ungradable as reason:
        return str(reason)
    except InfrastructureError:
        return SANDBOX_FAILED
    return "an empty program passes"
