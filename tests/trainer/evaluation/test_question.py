import pytest

from reward_model.text.chat import Message, TemplateInputs
from trainer.evaluation.question import (
    Question,
    conversation_of,
    question_of,
    step_ends,
    text_of,
    unaskable,
)
from trainer.pairs.row import PreferenceRow, Rejected, Request, answer_text

THREE = Question("1", "g", "p", ("a", "b", "c"), (True, False, False), ("x", "y", "z"), "set")


def test_a_row_of_pairs_is_a_question_whose_first_answer_is_right() -> None:
    row = PreferenceRow("7", "numpy", "Add.", "a + b", (Rejected("mutant", "a - b"),), "mbpp")
    expected = Question(
        "7", "numpy", "Add.", ("a + b", "a - b"), (True, False), ("chosen", "mutant"), "mbpp"
    )
    assert question_of(row) == expected


def test_answers_keep_their_labels_and_kinds_when_others_are_left_out() -> None:
    kept = THREE.only([2, 0])
    assert (kept.answers, kept.correct, kept.kinds) == (("c", "a"), (False, True), ("z", "x"))
    assert (kept.group, kept.source) == ("g", "set")


def test_a_kind_may_be_unknown() -> None:
    assert THREE.kind(1) == "y"
    assert Question("1", "g", "p", ("a",), (True,)).kind(0) == ""


def test_steps_are_joined_and_end_before_white_space() -> None:
    steps = ("One. ", "Two,\n\nthree.\n")
    assert text_of(steps) == "One. \n\nTwo,\n\nthree.\n"
    assert [text_of(steps)[:end] for end in step_ends(steps)] == [
        "One.",
        "One. \n\nTwo,\n\nthree.",
    ]
    assert (text_of("One.\n\nTwo."), step_ends("One.\n\nTwo.")) == ("One.\n\nTwo.", ())


@pytest.mark.parametrize(
    ("prompt", "reason"),
    [
        ("Add.", ""),
        ((Message("system", "Be brief."), Message("user", "Add.")), ""),
        ("", "empty request"),
        ((), "empty request"),
        ((Message("user", ""),), "empty request"),
        ((Message("user", "Add."), Message("tool", "")), ""),
        ((Message("user", "", '{"content": null}'),), ""),
        ((Message("user", "Add."), Message("assistant", "Ok.")), "request ends on the assistant"),
    ],
)
def test_requests_that_no_scorer_takes_are_known_before(prompt: Request, reason: str) -> None:
    assert unaskable(prompt) == reason


CALL = Message("assistant", "", '{"tool_calls": [{"function": {"name": "add"}}]}')


def test_a_row_with_calls_and_tools_is_asked_as_it_is_trained_on() -> None:
    inputs = TemplateInputs(tools='[{"name": "add"}]')
    row = PreferenceRow(
        "7",
        "g",
        "Add.",
        answer_text((CALL,)),
        (Rejected("rejected", "5"),),
        chosen_turns=(CALL,),
        inputs=inputs,
    )
    question = question_of(row)
    assert question.inputs == inputs
    assert conversation_of(question, 0) == (Message("user", "Add."), CALL)
    assert conversation_of(question, 1) == (Message("user", "Add."), Message("assistant", "5"))
    assert question.only([1]).answer_turns == ((),)
