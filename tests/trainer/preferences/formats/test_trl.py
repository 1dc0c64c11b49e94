import pytest
from hypothesis import given
from hypothesis import strategies as st

from reward_model.text.chat import Message
from trainer.pairs.row import Request
from trainer.preferences.formats.trl import Trl
from trainer.tables.record import Record, Unusable

USER = {"role": "user", "content": "What color is the sky?"}
BLUE = {"role": "assistant", "content": "It is blue."}
GREEN = {"role": "assistant", "content": "It is green."}
SYSTEM = {"role": "system", "content": "Be brief."}
LATER = [USER, BLUE, {"role": "user", "content": "And at night?"}]
ASKED = "What color is the sky?"


@pytest.mark.parametrize(
    ("record", "prompt"),
    [
        ({"prompt": ASKED, "chosen": "It is blue.", "rejected": "It is green."}, ASKED),
        ({"prompt": [USER], "chosen": [BLUE], "rejected": [GREEN]}, ASKED),
        ({"prompt": [USER], "chosen": "It is blue.", "rejected": "It is green."}, ASKED),
        ({"prompt": ASKED, "chosen": [BLUE], "rejected": [GREEN]}, ASKED),
        ({"chosen": [USER, BLUE], "rejected": [USER, GREEN]}, ASKED),
        ({"prompt": None, "chosen": [USER, BLUE], "rejected": [USER, GREEN]}, ASKED),
        ({"prompt": ASKED, "chosen": [USER, BLUE], "rejected": [USER, GREEN]}, ASKED),
        (
            {"chosen": [SYSTEM, USER, BLUE], "rejected": [SYSTEM, USER, GREEN]},
            (Message("system", "Be brief."), Message("user", ASKED)),
        ),
    ],
)
def test_every_form_of_trl_is_the_same_comparison(record: Record, prompt: Request) -> None:
    judged = Trl().rate(record)
    assert judged.prompt == prompt
    assert [(a.text, a.rating) for a in judged.answers] == [("It is blue.", 1), ("It is green.", 0)]
    assert not judged.rated


def test_earlier_turns_are_part_of_the_request() -> None:
    judged = Trl().rate({"prompt": LATER, "chosen": [BLUE], "rejected": [GREEN]})
    assert judged.prompt == tuple(Message(**turn) for turn in LATER)


def test_a_conversation_that_goes_on_is_in_the_group_of_its_opening() -> None:
    later = Trl().rate({"prompt": LATER, "chosen": [BLUE], "rejected": [GREEN]})
    first = Trl().rate({"prompt": "what color  is the SKY?", "chosen": "a", "rejected": "b"})
    assert later.group == first.group


def test_texts_without_a_prompt_part_where_trl_parts_them() -> None:
    judged = Trl().rate({"chosen": "The sky is blue.", "rejected": "The sky is green."})
    assert judged.prompt == "The sky is"
    assert [answer.text for answer in judged.answers] == [" blue.", " green."]


@given(st.text(), st.text(), st.text())
def test_what_is_parted_is_lossless(begin: str, chosen: str, rejected: str) -> None:
    try:
        judged = Trl().rate({"chosen": begin + chosen, "rejected": begin + rejected})
    except Unusable:
        return
    assert isinstance(judged.prompt, str)
    texts = [judged.prompt + answer.text for answer in judged.answers]
    assert texts == [begin + chosen, begin + rejected]


@pytest.mark.parametrize(
    "scores", [{"margin": 2.5}, {"score_chosen": 8.0, "score_rejected": 5.5}, {"margin": "2.5"}]
)
def test_a_margin_is_the_difference_of_ratings(scores: Record) -> None:
    judged = Trl().rate({"prompt": "p", "chosen": "a", "rejected": "b"} | scores)
    better, worse = judged.answers
    assert judged.rated
    assert better.rating - worse.rating == 2.5


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"score_chosen": 5.0, "score_rejected": 5.0}, "same score"),
        ({"score_chosen": 4.0, "score_rejected": 5.0}, "contradict"),
        ({"prompt": "  "}, "prompt is empty"),
        ({"chosen": 3}, "chosen is neither text nor messages"),
        ({"chosen": []}, "chosen is neither text nor messages"),
        (
            {"prompt": None, "chosen": [USER], "rejected": [USER]},
            "last turn is not the assistant's",
        ),
        ({"chosen": [{"role": "assistant"}]}, "content is not text"),
        ({"prompt": "other", "chosen": [USER, BLUE], "rejected": [USER, GREEN]}, "not part of"),
        ({"prompt": None, "chosen": [BLUE], "rejected": [GREEN]}, "no question before"),
        ({"chosen": [*LATER, BLUE], "rejected": [USER, GREEN], "prompt": None}, "differ before"),
        ({"prompt": None, "chosen": "abc", "rejected": "xyz"}, "no common beginning"),
        (
            {
                "prompt": None,
                "chosen": "\n\nHuman: hi\n\nAssistant: a",
                "rejected": "\n\nHuman: hi\n\nAssistant: b",
            },
            "hh format",
        ),
    ],
)
def test_what_is_no_comparison_says_why(change: Record, reason: str) -> None:
    record: Record = {"prompt": "p", "chosen": [BLUE], "rejected": [GREEN]}
    with pytest.raises(Unusable, match=reason):
        Trl().rate(record | change)


def test_columns_may_be_called_otherwise() -> None:
    judged = Trl(prompt="q", chosen="yes", rejected="no").rate({"q": "p", "yes": "a", "no": "b"})
    assert (judged.prompt, judged.answers[0].text) == ("p", "a")
