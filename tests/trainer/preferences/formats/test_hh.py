import pytest

from reward_model.text.chat import Message
from trainer.preferences.formats.hh import Hh
from trainer.tables.record import Unusable

OPENING = "\n\nHuman: How do I boil an egg?\n\nAssistant:"


def test_a_transcript_parts_before_its_last_answer() -> None:
    begun = f"{OPENING} In water.\n\nHuman: How long?\n\nAssistant:"
    judged = Hh().rate({"chosen": f"{begun} Ten minutes.", "rejected": f"{begun} An hour.\n"})
    assert judged.prompt == (
        Message("user", "How do I boil an egg?"),
        Message("assistant", "In water."),
        Message("user", "How long?"),
    )
    assert [(a.text, a.rating) for a in judged.answers] == [("Ten minutes.", 1), ("An hour.", 0)]


def test_one_question_is_plain_text_and_answers_keep_their_paragraphs() -> None:
    judged = Hh().rate({"chosen": f"{OPENING} In water.\n\nSlowly.", "rejected": f"{OPENING} No."})
    assert judged.prompt == "How do I boil an egg?"
    assert judged.answers[0].text == "In water.\n\nSlowly."


@pytest.mark.parametrize(
    ("chosen", "reason"),
    [
        ("In water.", "chosen is no transcript"),
        (f"Hello{OPENING} In water.", "chosen is no transcript"),
        ("\n\nHuman: a\n\nHuman: b\n\nAssistant: c", "take turns"),
        ("\n\nHuman: Another question?\n\nAssistant: Yes.", "differ before their last turn"),
        (f"{OPENING} In water.\n\nHuman: Thanks.", "last turn is not the assistant's"),
        (None, "chosen is not text"),
    ],
)
def test_what_is_no_transcript_says_why(chosen: object, reason: str) -> None:
    with pytest.raises(Unusable, match=reason):
        Hh().rate({"chosen": chosen, "rejected": f"{OPENING} No."})
