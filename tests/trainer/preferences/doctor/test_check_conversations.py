import json
from dataclasses import replace

import pytest

from reward_model.text.chat import Message, TemplateInputs
from tests.trainer.preferences.rows import ROWS, TEMPLATE, model, row
from trainer.pairs.encoded import encode_rows
from trainer.pairs.row import PreferenceRow, Rejected, answer_text
from trainer.preferences.doctor.check_conversations import (
    chat_templates,
    control_tokens,
    left_out,
)
from trainer.preferences.doctor.doctor import examine
from trainer.preferences.doctor.findings import Finding

CALL = (Message("assistant", "", json.dumps({"tool_calls": [{"function": {"name": "add"}}]})),)
THOUGHT = (Message("assistant", "4", json.dumps({"reasoning_content": "Two and two."})),)
KNOWING = TEMPLATE.replace(
    "{{ message.content }}",
    "{{ message.reasoning_content }}{{ message.content }}{{ message.tool_calls }}{{ tools }}",
)


def tokens(rows: list[PreferenceRow], template: str = TEMPLATE) -> Finding:
    return control_tokens(rows, model(template=template)[1].tokenizer)


def answered(answer: tuple[Message, ...], tools: str = "") -> PreferenceRow:
    return PreferenceRow(
        "c",
        "g",
        "What is 2 + 2?",
        answer_text(answer),
        (Rejected("rejected", "5"),),
        chosen_turns=answer,
        inputs=TemplateInputs(tools=tools),
    )


@pytest.mark.parametrize(
    "text",
    [
        "It is 4.<|end|>",
        "<|user|>\nTwo?<|end|>\n<|assistant|>\nIt is 4.",
        "[INST] Two? [/INST] It is 4.",
        '[{"role": "assistant", "content": "It is 4."}]',
        "It <|end|> is 4.",
    ],
)
def test_texts_with_a_templates_tokens_are_told_and_fatal_where_all_have_them(text: str) -> None:
    rendered = row("r", "What is 2 + 2?", text, "5")
    finding = tokens([*ROWS, rendered])
    assert (finding.severity, finding.count, finding.first) == ("warning", 1, "r")
    assert tokens([rendered, replace(rendered, id="s")]).severity == "fatal"
    assert tokens(ROWS).severity == "fine"


def test_requests_and_rejected_answers_are_looked_at_and_results_of_tools_are_not() -> None:
    asked = row("p", "<|user|>\nTwo?<|end|>", "2", "3")
    rejected = row("q", "Two?", "2", "3<|end|>")
    returned = row("t", (Message("user", "Two?"), Message("tool", "<|end|>")), "2", "3")
    assert tokens([*ROWS, asked, rejected, returned]).count == 2


def test_a_tag_of_reasoning_that_is_a_special_token_is_no_template() -> None:
    _, facts = model()
    facts.tokenizer.backend_tokenizer.add_special_tokens(["<think>"])
    thinking = row("r", "Two?", "<think>One and one.</think> 2", "3")
    assert control_tokens([thinking], facts.tokenizer).severity == "fine"


@pytest.mark.parametrize(
    ("answer", "tools", "kinds"),
    [
        (CALL, "", "tool calls in 1"),
        (THOUGHT, "", "reasoning in 1"),
        (CALL, '[{"name": "add"}]', "tools in 1, tool calls in 1"),
    ],
)
def test_what_the_template_leaves_out_is_told(
    answer: tuple[Message, ...], tools: str, kinds: str
) -> None:
    rows = [*ROWS, answered(answer, tools)]
    finding = left_out(rows, model()[1].tokenizer)
    assert (finding.severity, finding.first) == ("warning", "c")
    assert f"nothing of {kinds}:" in finding.message
    assert left_out(rows, model(template=KNOWING)[1].tokenizer).severity == "fine"


def test_rows_of_texts_alone_leave_nothing_out() -> None:
    assert left_out(ROWS, model()[1].tokenizer).severity == "fine"


def test_calls_are_answers_that_follow_their_prompt() -> None:
    rows = [answered(CALL), answered(THOUGHT, '[{"name": "add"}]')]
    encoder, facts = model(template=KNOWING, max_tokens=256)
    findings = examine(rows, encode_rows(rows, encoder), [], encoder, facts)
    checks = {each.check: each.severity for each in findings.checks}
    for check in ("generation prompt", "answers rendered", "empty", "identical"):
        assert checks[check] == "fine"


def test_several_chat_templates_are_told_with_the_one_that_is_used() -> None:
    _, facts = model()
    assert chat_templates(facts).severity == "fine"
    finding = chat_templates(replace(facts, templates=("default", "tool_use")))
    assert finding.severity == "warning"
    assert "default, tool_use, and default is used for every text" in finding.message
