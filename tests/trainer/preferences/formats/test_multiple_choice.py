import pytest

from trainer.preferences.formats.multiple_choice import MultipleChoice
from trainer.tables.record import Record, Unusable

RECLOR: Record = {
    "context": "All cats purr. Tom is a cat.",
    "question": "Which follows?",
    "answers": ["Tom barks.", "Tom purrs.", "Tom is not a cat.", "None purr."],
    "label": 1,
    "id_string": "train_0",
}


@pytest.mark.parametrize("label", [1, "1", "B"], ids=repr)
def test_the_key_is_right_and_every_other_option_wrong(label: object) -> None:
    judged = MultipleChoice().rate(RECLOR | {"label": label})
    assert judged.prompt == "All cats purr. Tom is a cat.\n\nWhich follows?"
    assert [answer.rating for answer in judged.answers] == [0, 1, 0, 0]
    assert judged.answers[1].text == "Tom purrs."


def test_letters_before_options_are_no_part_of_them() -> None:
    options = ["A) Tom barks.", "B) Tom purrs."]
    judged = MultipleChoice().rate(RECLOR | {"answers": options})
    assert [answer.text for answer in judged.answers] == ["Tom barks.", "Tom purrs."]


def test_a_letter_that_numbers_nothing_stays() -> None:
    options = ["C. elegans is a worm.", "A. thaliana is a plant."]
    judged = MultipleChoice().rate(RECLOR | {"answers": options})
    assert [answer.text for answer in judged.answers] == options


def test_questions_on_one_passage_are_one_group() -> None:
    other = MultipleChoice().rate(RECLOR | {"question": "Which does not follow?"})
    assert other.group == MultipleChoice().rate(RECLOR).group
    bare = [MultipleChoice().rate(RECLOR | {"context": "", "question": q}) for q in ("a?", "b?")]
    assert bare[0].group != bare[1].group


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"label": None}, "no answer key"),
        ({"label": True}, "no answer key"),
        ({"label": "second"}, "no answer key"),
        ({"label": 4}, "none of the options"),
        ({"label": "E"}, "none of the options"),
        ({"answers": ["a", 2]}, "not all text"),
        ({"context": None}, "context is not text"),
        ({"context": "", "question": ""}, "neither passage nor question"),
    ],
)
def test_what_is_no_question_says_why(change: Record, reason: str) -> None:
    with pytest.raises(Unusable, match=reason):
        MultipleChoice().rate(RECLOR | change)
