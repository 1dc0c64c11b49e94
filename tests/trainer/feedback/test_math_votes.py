"""Votes on final answers, judged by real math-verify in real processes."""

from collections import Counter
from collections.abc import Iterator

import pytest

from tests.trainer.feedback.made import sampled
from trainer.evaluation.measures.math_judge import MathJudge
from trainer.feedback.math_votes import (
    against_references,
    count_right,
    final_answers,
    reference_answers,
    vote_on_answers,
)
from trainer.feedback.pass_count import Verdict
from trainer.feedback.problem import Problem
from trainer.feedback.problem_votes import ProblemVotes
from trainer.feedback.vote_rules import VoteRules

TOWER = "\\boxed{\\dfrac{5^{\\left(5^{\\left(5^{\\left(5^5\\right)}\\right)} - 4\\right)} - 5}{16}}"


@pytest.fixture(scope="module")
def judge() -> Iterator[MathJudge]:
    with MathJudge(timeout=120.0, processes=1) as found:
        yield found


def asked(name: str, gold: str = "") -> Problem:
    return Problem(name, name, "math", f"What is {name}?", gold=gold)


def voted(judge: MathJudge, *answers: str, rules: VoteRules | None = None) -> ProblemVotes:
    return vote_on_answers([asked("p")], [answers], rules or VoteRules(), judge, Counter())[0]


def test_equal_answers_vote_together(judge: MathJudge) -> None:
    found = voted(judge, "\\frac{1}{2}", "0.5", "\\frac{2}{4}", "3", "")
    vote = found.inputs[0]
    assert found.left_out == ""
    assert vote.expected == "0.5"
    assert (vote.voters, vote.valid, vote.distinct) == (5, 4, 2)
    assert (vote.winner, vote.runner_up) == pytest.approx((0.6, 0.2))
    assert voted(judge, "", "3", "\\frac{2}{4}", "0.5", "\\frac{1}{2}") == found


def test_half_of_the_answers_are_no_majority(judge: MathJudge) -> None:
    assert voted(judge, "1", "1", "2", "").left_out == "no majority"
    assert voted(judge, "1", "1", "2", "", rules=VoteRules(min_majority=0.4)).left_out == ""
    assert voted(judge, "", "").left_out == "no sample ends in an answer"


def test_a_sample_is_right_or_wrong_by_its_final_answer(judge: MathJudge) -> None:
    texts = ["so \\boxed{\\frac{1}{2}}", "#### 0.5", "#### 2", ""]
    samples = [sampled("p", number, text) for number, text in enumerate(texts[:3])]
    samples += [sampled("p", 3, " "), sampled("q", 0, "#### 1")]
    answers = final_answers(samples, judge)
    counts: Counter[str] = Counter()
    found = count_right(samples, answers, {"p": "0.5"}, judge, counts)
    assert [(each.passed, each.total) for each in found] == [(1, 1), (1, 1), (0, 1), (0, 1)]
    assert found[3].verdicts == (Verdict.WRONG,)
    assert counts == {"samples with a label": 4}


def test_references_judge_the_votes(judge: MathJudge) -> None:
    problems = [asked("p", "So it is\n#### 1/2"), asked("q", "7"), asked("r")]
    references = reference_answers(problems, judge)
    assert references == {"p": "1/2", "q": "7"}
    votes = vote_on_answers(
        problems, [["0.5"] * 3, ["8"] * 3, ["1"] * 3], VoteRules(), judge, Counter()
    )
    judged = against_references(votes, references, judge)
    assert [each.inputs[0].is_right for each in judged] == [True, False, None]


def test_a_sample_that_the_judge_cannot_decide_has_no_label() -> None:
    samples = [sampled("p", 0, TOWER), sampled("p", 1, "#### 4")]
    with MathJudge(timeout=2.0, processes=1) as judge:
        counts: Counter[str] = Counter()
        answers = final_answers(samples, judge)
        found = count_right(samples, answers, {"p": "4"}, judge, counts)
    assert [each.sample for each in found] == ["p-1"]
    assert counts["samples without a label: the judge was killed"] == 1
