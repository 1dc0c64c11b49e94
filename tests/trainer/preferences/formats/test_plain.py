import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.preferences.formats.plain import not_plain, plain
from trainer.tables.record import Unusable

TURNS = [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "So."}]
SHARED = [{"from": "human", "value": "Why?"}, {"from": "gpt", "value": "So."}]


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(TURNS),
        json.dumps(TURNS, indent=2),
        json.dumps(TURNS[0]),
        json.dumps([{"content": "Why?", "role": "user"}]),
        json.dumps(json.dumps(TURNS)),
        json.dumps(SHARED),
        json.dumps([{"role": "assistant", "tool_calls": []}]),
        str(TURNS),
        str(TURNS[1]),
        str(np.array(TURNS)),
        repr(np.array(TURNS)),
        f" \n{TURNS}",
        "[HumanMessage(content='Why?')]",
        "ChatCompletionMessage(content='So.', role='assistant')",
    ],
)
def test_messages_that_were_written_as_text_are_to_be_parsed(text: str) -> None:
    assert "written as text" in not_plain(text)


@pytest.mark.parametrize(
    "text",
    [
        "<|im_start|>user\nWhy?<|im_end|>\n<|im_start|>assistant\nSo.<|im_end|>\n",
        "<|im_start|>user\nWhy?<|im_end|>\n<|im_start|>assistant\n",
        "Why?<|im_end|>\n<|im_start|>assistant\n",
        "So.<|im_end|>",
        "So.<|eot_id|>",
        "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nWhy?<|eot_id|>",
        "<bos><start_of_turn>user\nWhy?<end_of_turn>\n<start_of_turn>model\n",
        "<start_of_turn>user\nWhy?<end_of_turn>\n<start_of_turn>model\n",
        "<s>[INST] Why? [/INST]",
        "[INST] Why? [/INST] So.</s>",
        " So.</s>",
        "It is so</s>\n",
        "<|user|>\nWhy?<|end|>\n<|assistant|>\n",
        "<\uff5cbegin\u2581of\u2581sentence\uff5c><\uff5cUser\uff5c>Why?<\uff5cAssistant\uff5c>",
        "<|START_OF_TURN_TOKEN|><|USER_TOKEN|>Why?<|END_OF_TURN_TOKEN|>",
        "<|start|>user<|message|>Why?<|end|><|start|>assistant",
    ],
)
def test_rendered_conversations_are_to_be_given_without_the_template(text: str) -> None:
    assert "already rendered" in not_plain(text)


@pytest.mark.parametrize(
    "text",
    [
        "\n\nHuman: Why?\n\nAssistant:",
        "USER: Why? \nASSISTANT:",
        "Below is an instruction.\n\n### Instruction:\nWhy?\n\n### Response:\n",
        "### Human: Why?\n### Assistant:",
    ],
)
def test_transcripts_that_wait_for_an_answer_are_to_be_given_as_messages(text: str) -> None:
    assert "transcript" in not_plain(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "What does <|im_end|> mean in ChatML?",
        "It ends a turn: `<|im_end|>`.",
        '{"role": "admin", "name": "Ada"}',
        '{"value": 3}',
        "[{'content': 'soap'}]",
        'Mend this: [{"role": "user", "content": "Why?"}]',
        "def f(x):\n    return {'role': 'user', 'content': x}",
        "List.map f <| xs |> Seq.sum",
        "<s>old</s> new",
        "<table><tr></tr></table>",
        "User stories: write three.",
        "Question: What is 2 + 2?\nAnswer:",
        "[1, 2, 3]",
    ],
)
def test_plain_texts_stay_as_they_are(text: str) -> None:
    assert plain(text, "prompt") == text


@given(st.text(), st.sampled_from([json.dumps(TURNS), "<|im_start|>user\n", str(TURNS)]))
def test_a_refusal_names_the_column_and_quotes_nothing(secret: str, begin: str) -> None:
    with pytest.raises(Unusable) as refusal:
        plain(f"{begin}{secret}", "chosen")
    assert str(refusal.value).startswith("chosen ")
    assert "Why?" not in str(refusal.value)


@pytest.mark.parametrize("text", ["[" * 10**6, " " * 10**6, "user" + "\n " * 10**6, "<|" * 10**6])
def test_long_texts_take_no_time(text: str) -> None:
    assert not not_plain(text + "x")
