"""How releases and rules are judged on sets of answers."""

import pytest

from benchmarks.real_samples.ranking import RULES, by_rule, comparable, rank
from benchmarks.real_samples.sets import SampleSet
from trainer.evaluation.question import Question


def question(name: str, answers: str, correct: str) -> Question:
    """A question with these answers, of which those marked 1 are right."""
    return Question(name, name, "Q", tuple(answers.split()), tuple(c == "1" for c in correct))


QUESTIONS = [
    question("1", "right wrong", "10"),
    question("2", "wrong! right", "01"),
    question("3", "a b", "11"),
    question("4", "a b", "00"),
]


def test_a_problem_without_a_choice_counts_as_it_is() -> None:
    found = rank(QUESTIONS, [(1.0, 0.0), (0.0, 1.0), (0.0, 0.0), (0.0, 0.0)])
    assert found.first.mean == pytest.approx(3 / 4)
    assert found.pairs.mean == pytest.approx(1)
    assert found.curve[1].mean == pytest.approx(1 / 2)


def test_rules_rank_by_length_alone() -> None:
    longest, shortest, random, oracle = (
        rank(QUESTIONS, by_rule(rule, QUESTIONS)) for rule in RULES
    )
    assert longest.first.mean == pytest.approx((0.5 + 0 + 1 + 0) / 4)
    assert shortest.first.mean == pytest.approx((0.5 + 1 + 1 + 0) / 4)
    assert random.first.mean == random.curve[1].mean == pytest.approx(1 / 2)
    assert oracle.first.mean == pytest.approx(3 / 4)
    assert shortest.above(longest).mean == pytest.approx(1 / 4)


def test_problems_with_fewer_answers_than_nearly_all_have_are_left_out() -> None:
    sample_set = SampleSet("set", "what", [*QUESTIONS * 5, question("5", "one", "1")])
    assert len(comparable(sample_set)) == 20


def test_a_set_without_pairs_is_refused() -> None:
    with pytest.raises(ValueError, match="fewer than two problems"):
        rank(QUESTIONS[2:], [(0.0, 0.0)] * 2)
