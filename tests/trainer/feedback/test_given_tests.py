"""Given tests judge programs in the real sandbox; what is known is not asked for again."""

from collections import Counter
from pathlib import Path

from tests.bubblewrap import needs_bubblewrap
from tests.trainer.feedback.made import make_problems, make_samples, sampled
from tests.trainer.feedback.sandboxes import FakeSandbox
from trainer.feedback import votes
from trainer.feedback.given_tests import grade_samples
from trainer.feedback.grading import Grader
from trainer.feedback.pass_count import Verdict, read_pass_counts
from trainer.feedback.problem import AssertTest, CallTest, Problem, StdioTest
from trainer.feedback.sandbox.types import Input, Limits, Outcome, Program, Status
from trainer.feedback.verdict_ledger import VerdictLedger
from trainer.feedback.votes import VotesConfig
from trainer.pipeline.stage import read_manifest

ADD = Problem(
    "add",
    "add",
    "function",
    "Add.",
    entry_point="add",
    tests=(CallTest("(1, 2)", "3"), CallTest("(0, 0)", "0")),
)
ASSERTED = Problem(
    "inc",
    "inc",
    "function",
    "Add one.",
    entry_point="inc",
    tests=(AssertTest("assert inc(1) == 2"),),
)
SCRIPT = Problem("echo", "echo", "script", "Echo.", tests=(StdioTest("a\n", "a\n"),))


@needs_bubblewrap
def test_every_form_of_test_labels_samples(tmp_path: Path) -> None:
    make_problems(tmp_path / "problems", [ADD, ASSERTED, SCRIPT])
    samples = [
        sampled("add", 0, "```python\ndef add(a, b):\n    return a + b\n```"),
        sampled("add", 1, "def add(a, b):\n    return a * b"),
        sampled("add", 2, "def add(a, b):\n    raise ValueError"),
        sampled("add", 3, "```python\n```"),
        sampled("inc", 0, "def inc(a):\n    return a + 1"),
        sampled("inc", 1, "import sys\ndef inc(a):\n    return a\nsys.exit(0)"),
        sampled("echo", 0, "print(input())"),
        sampled("echo", 1, "print('b')"),
    ]
    make_samples(tmp_path / "samples", samples)
    config = VotesConfig(expected="given")
    votes.run(config, tmp_path, tmp_path / "votes")
    found = {each.sample: each for each in read_pass_counts(tmp_path / "votes")}
    assert {name: (each.passed, each.total) for name, each in found.items()} == {
        **{"add-0": (2, 2), "add-1": (1, 2), "add-2": (0, 2), "add-3": (0, 2)},
        **{"inc-0": (1, 1), "inc-1": (0, 1), "echo-0": (1, 1), "echo-1": (0, 1)},
    }
    assert found["add-1"].verdicts == (Verdict.WRONG, Verdict.OK)
    assert found["add-2"].verdicts == (Verdict.EXCEPTION, Verdict.EXCEPTION)
    manifest = read_manifest(tmp_path / "votes")
    assert manifest["isolation"] == "bubblewrap"
    assert manifest["counts"]["samples without code, which fail"] == 1
    assert manifest["inputs"].keys() == {"problems", "samples"}


def graded(folder: Path, sandbox: FakeSandbox) -> tuple[list[str], Counter[str]]:
    samples = [sampled("add", n, f"def add(a, b): return a + b + {n}") for n in range(4)]
    counts: Counter[str] = Counter()
    with VerdictLedger(folder / "verdicts.sqlite") as known:
        grader = Grader(sandbox, Limits(), ledger=known)
        found = grade_samples([ADD], {"add": samples}, grader, sandbox.workers, counts)
    return [each.sample for each in found], counts


def test_a_failure_of_the_sandbox_is_no_label_and_is_made_up_for(tmp_path: Path) -> None:
    def fails_on_some(program: Program, given: Input) -> Outcome:
        broken = "+ 2" in program.code
        return Outcome(Status.INFRASTRUCTURE if broken else Status.EXCEPTION)

    found, counts = graded(tmp_path, FakeSandbox(fails_on_some))
    assert found == ["add-0", "add-1", "add-3"]
    assert counts["samples without a label: the sandbox failed"] == 1
    again = FakeSandbox()
    found, counts = graded(tmp_path, again)
    assert found == ["add-0", "add-1", "add-2", "add-3"]
    # Only the one that has no verdict yet.
    assert {program.code for program, _ in again.calls} == {"def add(a, b): return a + b + 2"}


def test_problems_without_tests_are_counted() -> None:
    bare = Problem("bare", "bare", "function", "Do.", entry_point="f")
    counts: Counter[str] = Counter()
    samples = {"bare": [sampled("bare", 0), sampled("bare", 1, "```\n```")]}
    grader = Grader(FakeSandbox(), Limits())
    assert grade_samples([bare], samples, grader, 1, counts) == []
    assert counts == {"samples without a label: their problem's tests judge nothing": 2}
