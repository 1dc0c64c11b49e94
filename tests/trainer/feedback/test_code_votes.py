from collections import Counter

import pytest

from tests.trainer.feedback.made import function, ran, runs_of
from trainer.feedback.code_votes import count_passes, equal_outputs, vote
from trainer.feedback.pass_count import Verdict
from trainer.feedback.problem_votes import ProblemVotes
from trainer.feedback.program_runs import ProgramRuns
from trainer.feedback.sandbox.types import Status
from trainer.feedback.vote_rules import VoteRules

PROBLEM = function("p")
TWO = VoteRules(min_valid=2)


def voted(
    *rows: ProgramRuns, rules: VoteRules = TWO, gold: ProgramRuns | None = None
) -> tuple[ProblemVotes, Counter[str]]:
    counts: Counter[str] = Counter()
    return vote(PROBLEM, rows, gold, rules, counts), +counts


def test_the_majority_of_those_that_ended_well_is_expected() -> None:
    rows = [
        runs_of("a", "p", "1", "7"),
        runs_of("b", "p", "1", Status.TIMEOUT),
        runs_of("c", "p", "2", "7"),
        runs_of("d", "p", Status.EXCEPTION, Status.EXCEPTION),
    ]
    found, _ = voted(*rows)
    one, other = found.inputs
    assert (one.expected, one.valid, one.distinct, one.voters) == ("1", 3, 2, 4)
    assert one.winner == pytest.approx(2 / 3)
    assert one.runner_up == pytest.approx(1 / 3)
    assert (other.expected, other.winner, other.runner_up) == ("7", 1.0, 0.0)
    passes = count_passes(PROBLEM, found, rows, Counter())
    assert [each.passed for each in passes] == [2, 1, 1, 0]
    assert passes[1].verdicts == (Verdict.OK, Verdict.TIMEOUT)
    assert passes[2].verdicts == (Verdict.WRONG, Verdict.OK)


def test_a_failure_never_equals_the_empty_output() -> None:
    rows = [runs_of("a", "p", ""), runs_of("b", "p", ""), runs_of("c", "p", Status.EXCEPTION)]
    found, counts = voted(*rows)
    assert counts["inputs whose winner is empty"] == 1
    passes = count_passes(PROBLEM, found, rows, Counter())
    assert [each.passed for each in passes] == [1, 1, 0]


def test_an_input_that_too_few_programs_answer_is_no_test() -> None:
    rows = [runs_of("a", "p", "1", "2"), runs_of("b", "p", "1", Status.MEMORY)]
    found, counts = voted(*rows)
    assert found.tests == (0,)
    assert counts["inputs: too few programs ended well"] == 1
    assert count_passes(PROBLEM, found, rows, Counter())[0].total == 1
    share, _ = voted(*rows, rules=VoteRules(min_valid=0.5))
    assert share.tests == (0, 1)
    default, _ = voted(*rows, rules=VoteRules())
    assert default.left_out == "too few tests"


def test_a_label_is_made_twice_and_must_be_the_same() -> None:
    # In the first repeat 1 has the majority, in the second 2 has.
    rows = [runs_of(name, "p", ran("1", "2")) for name in "abc"]
    rows += [runs_of("d", "p", "1"), runs_of("e", "p", "2")]
    found, counts = voted(*rows)
    assert found.inputs[0].left_out == "the repeats vote for different outputs"
    assert counts["runs whose repeats disagree"] == 3


def test_a_program_that_disagrees_with_itself_neither_votes_nor_passes() -> None:
    rows = [runs_of(name, "p", "1") for name in "abc"] + [runs_of("d", "p", ran("1", "2"))]
    found, _ = voted(*rows)
    assert (found.inputs[0].valid, found.inputs[0].voters) == (3, 4)
    assert [each.passed for each in count_passes(PROBLEM, found, rows, Counter())] == [1, 1, 1, 0]


def test_a_missing_run_is_neither_a_vote_nor_a_label() -> None:
    rows = [
        runs_of("a", "p", "1", "1"),
        runs_of("b", "p", "1", "1"),
        runs_of("c", "p", "1", ran("1", Status.INFRASTRUCTURE)),
    ]
    found, _ = voted(*rows)
    assert [each.voters for each in found.inputs] == [3, 2]
    counts: Counter[str] = Counter()
    assert [each.sample for each in count_passes(PROBLEM, found, rows, counts)] == ["a", "b"]
    assert counts == {
        "samples with a label": 2,
        "samples without a label: a run is missing": 1,
    }


def test_ties_are_counted_and_dropped_if_asked_for() -> None:
    rows = [runs_of("a", "p", "1"), runs_of("b", "p", "2")]
    found, counts = voted(*rows)
    assert counts["inputs with a tie"] == 1
    assert found.inputs[0].left_out == ""
    assert voted(*rows[::-1])[0] == found
    dropped, _ = voted(*rows, rules=VoteRules(min_valid=2, drop_ties=True))
    assert dropped.inputs[0].left_out == "tied"


def test_little_confidence_leaves_the_problem_out() -> None:
    rows = [runs_of("a", "p", "1"), runs_of("b", "p", "1"), runs_of("c", "p", "2")]
    found, _ = voted(*rows, rules=VoteRules(min_valid=1, min_confidence=0.7))
    assert found.left_out == "too little confidence"
    kept, _ = voted(*rows, rules=VoteRules(min_valid=1, min_confidence=0.6))
    assert kept.left_out == ""


def test_degenerate_winners_are_counted_and_dropped_if_asked_for() -> None:
    rows = [runs_of(name, "p", "None", "'Error: x'", "3") for name in "ab"]
    found, counts = voted(*rows)
    assert counts["inputs whose winner is None"] == 1
    assert counts["inputs whose winner is like an error"] == 1
    assert found.tests == (0, 1, 2)
    strict = VoteRules(min_valid=2, drop_degenerate=True)
    assert voted(*rows, rules=strict)[0].tests == (2,)
    alike = [runs_of(name, "p", "3", "3") for name in "ab"]
    found, counts = voted(*alike, rules=strict)
    assert counts["problems whose tests all expect the same output"] == 1
    assert found.left_out == "all tests expect the same output"


def test_the_reference_judges_the_votes_and_has_none() -> None:
    rows = [runs_of(name, "p", "1", "2", "3") for name in "ab"]
    gold = runs_of("", "p", "1", "5", Status.TIMEOUT)
    found, _ = voted(*rows, gold=gold)
    assert [each.is_right for each in found.inputs] == [True, False, None]
    assert [each.valid for each in found.inputs] == [2, 2, 2]


def test_a_problem_without_runs_has_no_label() -> None:
    assert voted()[0].left_out == "no runs"


@pytest.mark.parametrize(
    ("left", "right", "is_script", "equal"),
    [
        ("0.3", "0.30000000001", False, True),
        ("[0.3, 1]", "[0.30000000001, 1]", False, True),
        ("3", "4", False, False),
        ("'0.3'", "'0.30000000001'", False, False),
        ("0.3\n", "0.30000000001", True, True),
        ("sha256:aa", "sha256:ab", True, False),
        ("set(1, 2)", "set(1, 2)", False, True),
        ("set(0.3)", "set(0.30000000001)", False, False),
        ("(" * 300, "1", False, False),
    ],
)
def test_outputs_are_compared_with_a_tolerance_after_the_vote(
    left: str, right: str, is_script: bool, equal: bool
) -> None:
    assert equal_outputs(left, right, is_script) is equal
    assert equal_outputs(right, left, is_script) is equal
