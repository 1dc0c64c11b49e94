"""Votes on final answers: classes of equal answers, the largest of which is expected.

A problem with a final answer has one test. Answers are read and compared by math-verify, in
processes that can be killed.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from trainer.evaluation.measures.answers import Judge, classes_of
from trainer.evaluation.measures.math_judge import MathJudge
from trainer.evaluation.measures.votes import NO_ANSWER
from trainer.feedback.pass_count import PassCount, Verdict
from trainer.feedback.problem import Problem
from trainer.feedback.problem_votes import InputVote, ProblemVotes
from trainer.feedback.sample import Sample
from trainer.feedback.vote_rules import Tally, VoteRules, tally

Answers = dict[str, str]
"""The final answer of each sample by its id; empty if there is none."""


def final_answers(samples: Sequence[Sample], judge: Judge) -> Answers:
    """The final answer that each sample ends in."""
    found = judge.extract(list(dict.fromkeys(sample.text for sample in samples)))
    return {sample.id: found[sample.text] for sample in samples}


def reference_answers(problems: Sequence[Problem], judge: Judge) -> dict[str, str]:
    """The reference answer of each problem that has one: what its gold text ends in, or is."""
    golds = [problem for problem in problems if problem.gold]
    found = judge.extract(list(dict.fromkeys(problem.gold for problem in golds)))
    return {problem.id: found[problem.gold] or problem.gold.strip() for problem in golds}


def vote_on_answers(
    problems: Sequence[Problem],
    answers: Sequence[Sequence[str]],
    rules: VoteRules,
    judge: Judge,
    counts: Counter[str],
) -> list[ProblemVotes]:
    """The vote of each problem's samples, of which these are the final answers.

    A sample without an answer does not vote. The winner's share is of all samples, because one
    without an answer is no support for it.
    """
    # In an order of their own, so that the classes do not depend on that of the samples, even where
    # the judge's equality is not transitive.
    ordered = [sorted(each, key=lambda answer: (len(answer), answer)) for each in answers]
    votes = []
    for problem, own, classes in zip(problems, ordered, classes_of(ordered, judge), strict=True):
        leaders: dict[int, str] = {}
        for answer, label in zip(own, classes, strict=True):
            leaders.setdefault(label, answer)
        counted = tally([leaders[label] for label in classes if label != NO_ANSWER])
        scale = counted.valid / len(own) if own else 0.0
        made = InputVote(
            expected=counted.expected or "",
            left_out=reason_to_leave_out(counted, counted.winner * scale, rules),
            voters=len(own),
            valid=counted.valid,
            distinct=counted.distinct,
            winner=counted.winner * scale,
            runner_up=counted.runner_up * scale,
        )
        counts["answers with a tie"] += counted.is_tied
        counts[f"answers: {made.left_out or 'voted for'}"] += 1
        votes.append(ProblemVotes(problem.id, problem.group, (made,), made.left_out))
    return votes


def reason_to_leave_out(counted: Tally, winner: float, rules: VoteRules) -> str:
    """Why a vote is no label; empty if it is one."""
    if not counted.valid:
        return "no sample ends in an answer"
    if counted.is_tied and rules.drop_ties:
        return "tied"
    if winner <= rules.min_majority:
        return "no majority"
    return "too little confidence" if winner < rules.min_confidence - 1e-9 else ""


def against_references(
    votes: Sequence[ProblemVotes], references: dict[str, str], judge: Judge
) -> list[ProblemVotes]:
    """The votes, each with whether its winner is the reference answer, where there is one."""
    pairs = {
        vote.problem: (references[vote.problem], vote.inputs[0].expected)
        for vote in votes
        if vote.problem in references and vote.inputs[0].expected
    }
    same = judge.same(list(dict.fromkeys(pairs.values())))
    return [
        replace(vote, inputs=(replace(vote.inputs[0], is_right=same[pairs[vote.problem]]),))
        if vote.problem in pairs
        else vote
        for vote in votes
    ]


def count_right(
    samples: Sequence[Sample],
    answers: Answers,
    expected: dict[str, str],
    judge: MathJudge,
    counts: Counter[str],
) -> list[PassCount]:
    """A pass count of one test for each sample of a problem whose answer is expected.

    A sample without an answer is wrong: it has not said what was asked for. One that the judge
    could not decide has no label, because a busy machine may be the reason.
    """
    pairs = {
        sample.id: (expected[sample.problem], answers[sample.id])
        for sample in samples
        if sample.problem in expected and answers[sample.id]
    }
    same = judge.same(list(dict.fromkeys(pairs.values())))
    found = []
    for sample in samples:
        if sample.problem not in expected:
            continue
        pair = pairs.get(sample.id)
        if sample.text in judge.undecided or pair in judge.undecided:
            counts["samples without a label: the judge was killed"] += 1
            continue
        right = pair is not None and same[pair]
        verdict = Verdict.OK if right else Verdict.WRONG
        counts["samples with a label"] += 1
        found.append(PassCount(sample.id, sample.problem, int(right), 1, (verdict,)))
    return found
