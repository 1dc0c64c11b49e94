"""Tests that are statements, judged without ever running in the process of the program.

A test runs in the sandbox alone, without the program's code. In place of the entry point stands a
recorder, which ends the test at the first call whose result is not known, and tells its arguments.
The program is run on these arguments, in processes of its own. Then the test runs again, and the
recorder returns copies of the results, which are plain data: an object that equals everything does
not get here. The test passes only if its end is reached.

Calls of a test are remembered over programs, because they are nearly always the same. What a
program does to its arguments is not recorded: a test that looks at a changed list fails.
"""

from dataclasses import dataclass

from trainer.feedback.expression import expression_of
from trainer.feedback.pass_count import Verdict
from trainer.feedback.sandbox.types import Input, Limits, Outcome, Program, Sandbox, Status
from trainer.feedback.sandbox.values import decode

MAX_CALLS = 1000
"""Calls of one test; one with more cannot be judged."""
MAX_RESTARTS = 2
"""How often calls may differ from those before. A program leaves another's calls only once."""

_ENTRY_POINT = "__record__"
_SOURCE = f'''
def {_ENTRY_POINT}(test, name, results):
    import builtins, copy, random

    class Unknown(BaseException):
        """Ends the test at a call whose result is not known."""

    calls = []

    def recorder(*arguments, **keywords):
        calls.append((copy.deepcopy(arguments), copy.deepcopy(keywords)))
        if len(calls) > len(results):
            raise Unknown
        returned, value = results[len(calls) - 1]
        if returned:
            return copy.deepcopy(value)
        kind = names.get(value, getattr(builtins, value, None))  # perhaps one of the setup's
        fits = isinstance(kind, type) and issubclass(kind, Exception)
        raise kind() if fits else Exception(value)

    random.seed(0)  # a test may draw its arguments, and must draw the same ones each time
    names = globals()
    names[name] = recorder
    try:
        exec(compile(test, "<test>", "exec", dont_inherit=True), names)
    except BaseException as error:
        return calls, type(error).__name__
    return calls, ""
'''


class Ungradable(Exception):
    """A test that judges nothing here, whatever the program; the message says why."""


@dataclass(frozen=True)
class _Recording:
    """What a test did with the results so far: its calls, and how it ended ("" if well)."""

    calls: tuple[Input, ...]
    error: str


class StatementJudge:
    """Judges programs by tests that are statements. Any number of threads may call it."""

    def __init__(self, sandbox: Sandbox, limits: Limits) -> None:
        self._sandbox = sandbox
        self._limits = limits
        # Setup, entry point and code of a test -> the calls that it made with some program.
        self._calls: dict[tuple[str, str, str], tuple[Input, ...]] = {}

    def verdict(self, program: Program, test: str) -> Verdict:
        """The verdict of one test on a program.

        Raises:
            Ungradable: the test fails without asking the program anything, or calls it in a way
                that cannot be told from outside.
        """
        key = (program.setup, program.entry_point, test)
        calls = self._calls.get(key, ())
        outcomes: list[Outcome] = []
        restarts = 0
        while True:
            # Known calls are made in growing lots: most wrong programs fail at the first.
            if lot := calls[len(outcomes) : max(1, 2 * len(outcomes))]:
                outcomes += self._sandbox.run(program, list(lot), self._limits)
            known = _leading(outcomes)
            recording = self._record(program, test, [_result(outcome) for outcome in known])
            if isinstance(recording, Verdict):
                return recording
            agreed = _common(recording.calls, calls)
            if agreed < len(recording.calls):
                # A call that is not known, because another result led to it.
                restarts += agreed < len(calls)
                calls, outcomes = recording.calls[: agreed + 1], outcomes[:agreed]
                if restarts > MAX_RESTARTS or len(calls) > MAX_CALLS:
                    raise Ungradable(
                        f"a test that calls differently each time, or more than {MAX_CALLS} times"
                    )
            elif agreed <= len(known):
                break
            elif len(known) < len(outcomes):
                # The test asks for the call whose run was stopped.
                return Verdict(outcomes[len(known)].status)
        self._calls.setdefault(key, calls)
        if not recording.error:
            return Verdict.OK
        if not recording.calls:
            raise Ungradable(f"a test fails before it calls the function ({recording.error})")
        raised = any(each.status is not Status.OK for each in known[: len(recording.calls)])
        return Verdict.EXCEPTION if raised else Verdict.WRONG

    def _record(self, program: Program, test: str, results: list[str]) -> _Recording | Verdict:
        """Run the test with these results, or tell why that has no end."""
        arguments = f"({test!r}, {program.entry_point!r}, [{', '.join(results)}])"
        stage = Program(_SOURCE, _ENTRY_POINT, program.setup)
        (outcome,) = self._sandbox.run(stage, [Input(arguments=arguments)], self._limits)
        if outcome.status is not Status.OK:
            if not results and outcome.status is not Status.INFRASTRUCTURE:
                raise Ungradable(f"a test cannot be run alone ({outcome.error or outcome.status})")
            # The results of the program made the test take too long, or worse.
            return Verdict(outcome.status)
        value = decode(outcome.value)
        assert isinstance(value, tuple)
        calls, error = value
        return _Recording(
            tuple(
                Input(arguments=expression_of(given), keywords=expression_of(keywords))
                for given, keywords in calls
            ),
            error,
        )


def _leading(outcomes: list[Outcome]) -> list[Outcome]:
    """Outcomes up to the first that is neither a value nor an exception; a test may expect both."""
    for index, outcome in enumerate(outcomes):
        if outcome.status not in (Status.OK, Status.EXCEPTION):
            return outcomes[:index]
    return outcomes


def _result(outcome: Outcome) -> str:
    """The expression of a result for the recorder: whether it was returned, and what."""
    error = outcome.error
    if outcome.status is Status.OK:
        try:
            return f"(True, {expression_of(decode(outcome.value))})"
        except ValueError:  # the program itself wrote where results are told
            error = "no value"
    return f"(False, {error!r})"


def _common(one: tuple[Input, ...], other: tuple[Input, ...]) -> int:
    """How many calls two lists of calls begin with in common."""
    pairs = zip(one, other, strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))
