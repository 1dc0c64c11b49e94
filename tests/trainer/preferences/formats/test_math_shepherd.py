import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.preferences.formats.math_shepherd import MathShepherd
from trainer.tables.record import Record, Unusable

PROBLEM = "A pizza of 78 slices is shared 5:8. How many are in the smaller part?"
STEPS = ["Step 1: The ratio has 5+8 = 13 parts.", "Step 2: 78/13*5 = 30. The answer is: 30"]


def row(marks: str, steps: list[str] = STEPS) -> Record:
    """In the documented shape: a space before each tag, and a line for each step."""
    tagged = "\n".join(f"{step} ки" for step in steps)
    text = f"{PROBLEM} {tagged}"
    label = text
    for mark in marks:
        label = label.replace("ки", mark, 1)
    return {"input": text, "label": label, "task": "GSM8K"}


@pytest.mark.parametrize(("marks", "rating"), [("++", 1), ("--", 0), ("+-", 0)])
def test_right_is_what_is_right_to_the_end(marks: str, rating: int) -> None:
    judged = MathShepherd().rate(row(marks))
    assert judged.prompt == PROBLEM
    assert [(a.text, a.rating) for a in judged.answers] == [("\n".join(STEPS), rating)]


def test_what_recovers_from_a_wrong_step_is_neither() -> None:
    with pytest.raises(Unusable, match="after a step that was judged wrong"):
        MathShepherd().rate(row("-+"))


step = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="ки"), min_size=1)


@given(st.lists(step, min_size=1, max_size=5), st.data())
def test_no_tag_stays_and_no_step_is_lost(bodies: list[str], data: st.DataObject) -> None:
    steps = [f"Step {n}: {body}" for n, body in enumerate(bodies, start=1)]
    mark = data.draw(st.sampled_from("+-"))
    judged = MathShepherd().rate(row("+" * (len(steps) - 1) + mark, steps))
    (answer,) = judged.answers
    assert "ки" not in answer.text
    assert answer.text.split() == "\n".join(steps).split()
    assert answer.rating == (mark == "+")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"label": "something else"}, "the label is not the input"),
        ({"label": None}, "label is not text"),
        ({"input": "no tags", "label": "no tags"}, "the label is not the input"),
        ({"input": "Step 1: x ки", "label": "Step 1: x +"}, "no problem before"),
        ({"input": "Prove it. By magic ки", "label": "Prove it. By magic +"}, "no problem before"),
        ({"input": "P? Step 1: x ки", "label": "P? Step 1: x *"}, "the label is not the input"),
    ],
)
def test_what_is_not_labelled_says_why(change: Record, reason: str) -> None:
    with pytest.raises(Unusable, match=reason):
        MathShepherd().rate(row("++") | change)
