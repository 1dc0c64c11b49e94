"""What is left of a question when some of its answers have no score."""

from collections import Counter

import pytest

from tests.trainer.evaluation.made import FakeScorer, question
from trainer.evaluation.measures.scored import CONTENDERS, Need, score_questions
from trainer.evaluation.question import Question, step_ends

SCORER = FakeScorer(lambda text: None if "long" in text else float(len(text)))

PARTLY = question((True, False, False), texts=("a", "long", "bbb"), kinds=("x", "y", "z"))
WITHOUT_WRONG = question((True, False), texts=("a", "long"), kinds=("x", "y"))


@pytest.mark.parametrize(
    ("need", "kept", "left_out"),
    [("all", [], 2), ("both", [(1.0, 3.0)], 1), ("one", [(1.0, 3.0), (1.0,)], 0)],
)
def test_a_question_keeps_what_its_task_needs(
    need: Need, kept: list[tuple[float, ...]], left_out: int
) -> None:
    counts: Counter[str] = Counter()
    found = score_questions([PARTLY, WITHOUT_WRONG], SCORER, need, counts)
    assert [item.scores for item in found] == kept
    assert counts["y: too long"] == 2
    assert counts["question left with too few answers"] == left_out
    if kept:
        assert found[0].question.kinds == ("x", "z")
        assert found[0].question.correct == (True, False)


def test_an_answer_in_steps_keeps_the_score_of_each() -> None:
    steps = ("One. ", "Two.")
    stepped = Question("1", "a", "p", (steps,), (True,))
    (found,) = score_questions([stepped], SCORER, "all", Counter())
    assert found.steps == ((5.0, 4.0),)
    assert found.scores == (11.0,)
    assert step_ends(steps) == (4, 11)


def test_baselines_rank_by_length_and_not_at_all() -> None:
    (found,) = score_questions([PARTLY], SCORER, "both", Counter())
    assert CONTENDERS["length_only"](found) == (1.0, 3.0)
    assert len(set(CONTENDERS["random"](found))) == 1
