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


@pytest.mark.parametrize(
    ("begin", "prompt"),
    [
        ("What is 2 + 2?\nAnswer: ", "What is 2 + 2?\nAnswer:"),
        ("Q: What is 2 + 2?\nA:", "Q: What is 2 + 2?\nA:"),
        ("What is 2 + 2?\n### Response:\n\n", "What is 2 + 2?\n### Response:"),
    ],
)
def test_texts_without_a_prompt_part_where_an_answer_is_asked_for(begin: str, prompt: str) -> None:
    judged = Trl().rate({"chosen": f"{begin}It is 4.", "rejected": f"{begin}It is 5."})
    assert judged.prompt == prompt
    assert [answer.text for answer in judged.answers] == ["It is 4.", "It is 5."]


PROGRAM = "Add 0.\n\ndef add(x):\n    return x + "


@pytest.mark.parametrize(
    ("chosen", "rejected"),
    [
        ("The sky is blue.", "The sky is green."),
        (f"{PROGRAM}0", f"{PROGRAM}1"),
        ("def add(x: int):\n    return x", "def add(x: str):\n    return x"),
        # Which of several lines ends the prompt is a guess.
        ("Q: 1?\nA: 1\nQ: 2?\nA: 2", "Q: 1?\nA: 1\nQ: 2?\nA: 3"),
        ("Answer: 4", "Answer: 5"),
    ],
)
def test_a_prompt_that_would_end_in_a_sentence_or_a_program_is_to_be_named(
    chosen: str, rejected: str
) -> None:
    with pytest.raises(Unusable, match=r"no column prompt, .* give the prompt a column"):
        Trl().rate({"chosen": chosen, "rejected": rejected})
    judged = Trl().rate({"prompt": "Add 0.", "chosen": chosen, "rejected": rejected})
    assert (judged.prompt, judged.answers[0].text) == ("Add 0.", chosen)


@pytest.mark.parametrize("column", ["instruction", "question", "query", "input", "problem"])
def test_a_prompt_of_another_name_is_found_and_to_be_named(column: str) -> None:
    row: Record = {column: "Two?", "chosen": "It is 2.", "rejected": "It is 3."}
    with pytest.raises(Unusable, match=f"name {column} as the format's `prompt`"):
        Trl().rate(row)
    assert Trl(prompt=column).rate(row).prompt == "Two?"


@given(st.text(), st.text(), st.text())
def test_parting_loses_white_space_at_most(begin: str, chosen: str, rejected: str) -> None:
    begin = f"{begin}\nAnswer:"
    try:
        judged = Trl().rate({"chosen": begin + chosen, "rejected": begin + rejected})
    except Unusable:
        return
    assert isinstance(judged.prompt, str)
    texts = ["".join((judged.prompt + answer.text).split()) for answer in judged.answers]
    assert texts == ["".join((begin + text).split()) for text in (chosen, rejected)]


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


SHARED = {"from": "human", "value": ASKED}


@pytest.mark.parametrize(
    "record",
    [
        # ShareGPT, as LLaMA-Factory has it for preferences.
        {
            "conversations": [SHARED],
            "chosen": {"from": "gpt", "value": "It is blue."},
            "rejected": {"from": "gpt", "value": "It is green."},
        },
        {"prompt": [SHARED], "chosen": "It is blue.", "rejected": "It is green."},
        {"messages": [USER], "chosen": "It is blue.", "rejected": "It is green."},
        {
            "conversations": None,
            "chosen": [SHARED, {"from": "gpt", "value": "It is blue."}],
            "rejected": [SHARED, {"from": "gpt", "value": "It is green."}],
        },
        {"prompt": USER, "chosen": BLUE, "rejected": GREEN},
        {"prompt": ASKED, "chosen": ["It is blue."], "rejected": ["It is green."]},
        {
            "prompt": [{"role": "user", "content": [{"type": "text", "text": ASKED}]}],
            "chosen": [{"role": "assistant", "content": [{"type": "text", "text": "It is blue."}]}],
            "rejected": [GREEN],
        },
        {"prompt": ASKED, "chosen": "It is blue.", "rejected": [GREEN]},
        {"prompt": ASKED, "chosen": "It is blue.", "rejected": "It is green.", "history": []},
    ],
)
def test_other_shapes_that_mean_one_thing_are_read(record: Record) -> None:
    judged = Trl().rate(record)
    assert judged.prompt == ASKED
    assert [(a.text, a.turns) for a in judged.answers] == [
        ("It is blue.", ()),
        ("It is green.", ()),
    ]


def test_a_system_prompt_and_a_history_of_their_own_columns_come_first() -> None:
    row: Record = {
        "prompt": "And at night?",
        "chosen": "Black.",
        "rejected": "Green.",
        "system": "Be brief.",
        "history": [[ASKED, "It is blue."]],
    }
    assert Trl().rate(row).prompt == tuple(Message(**turn) for turn in [SYSTEM, *LATER])
    whole: Record = {"chosen": [USER, BLUE], "rejected": [USER, GREEN], "system": "Be brief."}
    assert Trl().rate(whole).prompt == tuple(Message(**turn) for turn in [SYSTEM, USER])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"chosen": str([USER, BLUE])}, "chosen holds messages .* parse them first"),
        ({"prompt": str([USER])}, "prompt holds messages .* parse them first"),
        ({"prompt": "<|im_start|>user\nTwo?<|im_end|>\n"}, "prompt is already rendered"),
        ({"rejected": "It is 3.<|im_end|>"}, "rejected is already rendered"),
        ({"chosen": ["a", "b"]}, "a list of texts: give messages with their roles"),
        ({"chosen": {"text": "a"}}, "neither role and content nor from and value"),
        ({"chosen": [{"from": "narrator", "value": "a"}]}, "speaker that is none of human"),
        (
            {"chosen": [{"role": "assistant", "content": 3}]},
            "content of a message of chosen is not",
        ),
        (
            {"prompt": [{"role": "user", "content": [{"type": "image"}]}]},
            "parts that are not text: leave",
        ),
        (
            {"prompt": [{"role": "user", "content": ["a", "b"]}]},
            "2 parts: join them to one text",
        ),
        ({"system": "Be kind.", "prompt": [SYSTEM, USER]}, "two system prompts"),
        ({"history": "earlier"}, "history is no list of questions with their answers"),
        ({"tools": "no JSON"}, "tools is not a list of objects"),
        ({"tools": {"name": "add"}}, "tools is not a list of objects"),
        ({"chat_template_kwargs": "[]"}, "chat_template_kwargs is not an object"),
        (
            {"chat_template_kwargs": {"chat_template": "x"}},
            "has chat_template, no variable of a template: leave it out",
        ),
        ({"images": [{"bytes": ""}]}, "the row has images, and the model reads text alone"),
    ],
)
def test_what_is_something_else_says_what_to_do(change: Record, reason: str) -> None:
    record: Record = {"prompt": "p", "chosen": "a", "rejected": "b"}
    with pytest.raises(Unusable, match=reason):
        Trl().rate(record | change)


def test_an_input_beside_the_instruction_is_to_be_joined() -> None:
    row: Record = {"instruction": "Add.", "input": "2, 3", "chosen": "5", "rejected": "6"}
    with pytest.raises(Unusable, match="join both in one column"):
        Trl(prompt="instruction").rate(row)
    assert Trl(prompt="instruction").rate(row | {"input": ""}).prompt == "Add."
