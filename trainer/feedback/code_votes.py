"""Votes on the outputs of programs, and how many of the resulting tests each program passes."""

import ast
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from trainer.feedback.answer_code import program_in
from trainer.feedback.compare import EqualityRules, equal_texts, equal_values
from trainer.feedback.pass_count import PassCount, Verdict
from trainer.feedback.problem import Problem
from trainer.feedback.problem_votes import InputVote, ProblemVotes
from trainer.feedback.program_runs import InputRun, ProgramRuns
from trainer.feedback.sample import Sample
from trainer.feedback.sandbox.types import Status
from trainer.feedback.vote_rules import VoteRules, degenerate, tally

DEFAULT_MIN_VALID = 5
HASHED = "sha256:"


def vote(
    problem: Problem,
    voters: Sequence[ProgramRuns],
    gold: ProgramRuns | None,
    rules: VoteRules,
    counts: Counter[str],
) -> ProblemVotes:
    """The votes of programs on each input of a problem. `counts` gets the fate of each."""
    inputs = max((len(runs.outcomes) for runs in (*voters, *([gold] if gold else []))), default=0)
    votes = []
    for index in range(inputs):
        runs = [each.outcomes[index] for each in voters if index < len(each.outcomes)]
        found = vote_on_input([run for run in runs if run.is_complete], rules, counts)
        if gold and index < len(gold.outcomes) and found.valid:
            truth = gold.outcomes[index].output
            if truth is not None:
                found = replace(
                    found, is_right=equal_outputs(found.expected, truth, problem.kind == "script")
                )
        counts[f"inputs: {found.left_out or 'tests'}"] += 1
        votes.append(found)
    made = ProblemVotes(problem.id, problem.group, tuple(votes))
    return replace(made, left_out=reason_to_leave_out(made, rules, counts))


def vote_on_input(runs: Sequence[InputRun], rules: VoteRules, counts: Counter[str]) -> InputVote:
    """The vote on one input of programs that none of the runs is missing of."""
    outputs = [run.output for run in runs]
    counted = tally([output for output in outputs if output is not None])
    made = InputVote(
        expected=counted.expected or "",
        voters=len(runs),
        valid=counted.valid,
        distinct=counted.distinct,
        winner=counted.winner,
        runner_up=counted.runner_up,
    )
    counts["runs whose repeats disagree"] += sum(not run.agrees for run in runs)
    counts["inputs with a tie"] += counted.is_tied
    empty_word = degenerate(made.expected) if counted.valid else ""
    if empty_word:
        counts[f"inputs whose winner is {empty_word}"] += 1
    wanted = DEFAULT_MIN_VALID if rules.min_valid is None else rules.min_valid
    needed = wanted * (len(runs) if wanted < 1 else 1)
    reason = ""
    if not counted.valid:
        reason = "no program ended well"
    elif counted.valid < needed - 1e-9:
        reason = "too few programs ended well"
    elif len({tally(votes).expected for votes in by_repeat(runs)}) > 1:
        reason = "the repeats vote for different outputs"
    elif rules.drop_ties and counted.is_tied:
        reason = "tied"
    elif rules.drop_degenerate and empty_word:
        reason = f"the winner is {empty_word}"
    return replace(made, left_out=reason)


def by_repeat(runs: Sequence[InputRun]) -> list[list[str]]:
    """The outputs of all programs in the first repeat, in the second, and so on."""
    repeats = max((len(run.statuses) for run in runs), default=0)
    return [
        [
            run.outputs[repeat]
            for run in runs
            if repeat < len(run.statuses) and run.statuses[repeat] is Status.OK
        ]
        for repeat in range(repeats)
    ]


def reason_to_leave_out(votes: ProblemVotes, rules: VoteRules, counts: Counter[str]) -> str:
    """Why a problem has no labels; empty if it has."""
    tests = votes.tests
    alike = len(tests) > 1 and len({votes.inputs[index].expected for index in tests}) == 1
    counts["problems whose tests all expect the same output"] += alike
    if not votes.inputs:
        return "no runs"
    if len(tests) < rules.min_tests:
        return "too few tests"
    if votes.confidence < rules.min_confidence - 1e-9:
        return "too little confidence"
    if rules.drop_degenerate and alike:
        return "all tests expect the same output"
    return ""


def count_passes(
    problem: Problem, votes: ProblemVotes, runs: Sequence[ProgramRuns], counts: Counter[str]
) -> list[PassCount]:
    """How many tests each program passes. A program with a missing run has no label."""
    found = []
    for each in runs:
        if not each.is_complete:
            counts["samples without a label: a run is missing"] += 1
            continue
        verdicts = tuple(
            verdict(each.outcomes[index], votes.inputs[index].expected, problem.kind == "script")
            for index in votes.tests
        )
        passed = sum(each is Verdict.OK for each in verdicts)
        counts["samples with a label"] += 1
        found.append(PassCount(each.sample, problem.id, passed, len(verdicts), verdicts))
    return found


def count_failures(
    problem: Problem, votes: ProblemVotes, samples: Sequence[Sample], counts: Counter[str]
) -> list[PassCount]:
    """Pass counts of samples that have no program: a policy must not gain by giving none.

    One that has a program and no runs has no label.
    """
    found = []
    for sample in samples:
        if program_in(problem, sample.text):
            counts["samples without a label: their program was not run"] += 1
            continue
        counts["samples without code, which fail"] += 1
        counts["samples with a label"] += 1
        verdicts = (Verdict.COMPILE,) * len(votes.tests)
        found.append(PassCount(sample.id, problem.id, 0, len(verdicts), verdicts))
    return found


def verdict(run: InputRun, expected: str, is_script: bool) -> Verdict:
    """OK if every repeat ended well with the expected output."""
    for status, output in zip(run.statuses, run.outputs, strict=True):
        # Status before output: a run that failed has none, and none is not the empty one.
        if status is not Status.OK:
            return Verdict(status.value)
        if not equal_outputs(output, expected, is_script):
            return Verdict.WRONG
    return Verdict.OK


def equal_outputs(left: str, right: str, is_script: bool) -> bool:
    """Whether two canonical outputs are equal up to the tolerance of numbers."""
    if left == right:
        return True
    if left.startswith(HASHED) or right.startswith(HASHED):
        return False
    if is_script:
        return equal_texts(left, right)
    try:
        return equal_values(ast.literal_eval(left), ast.literal_eval(right), EqualityRules())
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return False  # such as a set, whose canonical text is no literal: equal texts only
