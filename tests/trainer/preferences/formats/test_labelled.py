import pytest

from trainer.preferences.formats.labelled import Labelled
from trainer.tables.record import Record, Unusable

ROW: Record = {
    "id": "gsm8k-0",
    "prompt": "What is 2 + 2?",
    "reference": "4",
    "candidates": [
        {"model": "large/cot", "text": "It is 4.", "correct": True},
        {"model": "small/cot", "text": "It is 5.", "correct": False},
    ],
}


def test_each_candidate_is_right_or_wrong() -> None:
    judged = Labelled().rate(ROW)
    assert judged.prompt == "What is 2 + 2?"
    assert [(a.text, a.rating, a.model) for a in judged.answers] == [
        ("It is 4.", 1, "large/cot"),
        ("It is 5.", 0, "small/cot"),
    ]
    assert not judged.rated


def test_a_family_is_a_part_of_the_models_name() -> None:
    assert [a.model for a in Labelled(family="[^/]+").rate(ROW).answers] == ["large", "small"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"candidates": [{"text": "4", "correct": None}]}, "neither correct nor wrong"),
        ({"candidates": [{"text": "4", "correct": 0.5}]}, "neither correct nor wrong"),
        ({"candidates": [{"correct": True}]}, "text is neither text nor messages"),
        ({"candidates": None}, "candidates is not a list"),
        ({"prompt": ""}, "the prompt is empty"),
    ],
)
def test_what_is_not_labelled_says_why(change: Record, reason: str) -> None:
    with pytest.raises(Unusable, match=reason):
        Labelled().rate(ROW | change)
