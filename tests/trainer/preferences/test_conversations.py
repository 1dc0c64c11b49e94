"""Conversations of TRL's kinds are trained on as TRL and transformers render them."""

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from datasets import Dataset as Rows
from transformers import PreTrainedTokenizerFast
from trl.trainer.reward_config import RewardConfig
from trl.trainer.reward_trainer import RewardTrainer
from trl.trainer.utils import remove_none_values

from reward_model.text.encoding import Encoder
from tests.checkpoints import make_checkpoint, make_tokenizer
from trainer.pairs.encoded import EncodedRow, encode_rows
from trainer.pairs.row import PreferenceRow, read_pairs
from trainer.pipeline.stage import read_manifest
from trainer.preferences.formats.labelled import Labelled
from trainer.preferences.formats.trl import Trl
from trainer.preferences.formats.ultrafeedback import UltraFeedback
from trainer.preferences.gather import PreferencesConfig, run
from trainer.preferences.pairing import Pairing, rows_of
from trainer.preferences.source import PreferenceSource
from trainer.tables.record import Record

# In the manner of Qwen's: tools, calls, results, reasoning and an argument of the template.
TEMPLATE = """\
{%- if tools %}<|system|>
{% for tool in tools %}{{ tool | tojson }}
{% endfor %}<|end|>
{% endif %}
{%- for message in messages -%}
<|{{ 'user' if message.role == 'tool' else message.role }}|>
{% if message.role == 'tool' %}[{{ message.tool_call_id }}] {% endif %}
{%- if message.reasoning_content %}<think>{{ message.reasoning_content }}</think>{% endif %}
{%- if message.content is string %}{{ message.content }}{% endif %}
{%- for call in message.tool_calls or [] %}
<call>{{ call.function.name }} {{ call.function.arguments | tojson }}</call>
{%- endfor %}<|end|>
{% endfor %}{% if enable_thinking is false %}<think></think>{% endif %}"""

TOOLS = [
    {"type": "function", "function": {"name": "add", "parameters": {"a": "int", "b": "int"}}},
    {"type": "function", "function": {"name": "now"}},
]
ASK = {"role": "user", "content": "What is 2 + 2?"}


def call(a: int, b: int, **keys: object) -> dict[str, object]:
    function = {"name": "add", "arguments": {"a": a, "b": b}}
    return {
        "role": "assistant",
        **keys,
        "tool_calls": [{"id": "1", "type": "function", "function": function}],
    }


def result(text: str) -> dict[str, object]:
    return {"role": "tool", "tool_call_id": "1", "name": "add", "content": text}


def say(text: str, **keys: object) -> dict[str, object]:
    return {"role": "assistant", "content": text, **keys}


RIGHT, WRONG = say("It is 4."), say("It is 5.")
CASES: dict[str, dict[str, Any]] = {
    "tools": {"prompt": [ASK], "chosen": [RIGHT], "rejected": [WRONG], "tools": TOOLS},
    "tools as JSON": {
        "prompt": [ASK], "chosen": [RIGHT], "rejected": [WRONG], "tools": json.dumps(TOOLS),
    },
    "no tools": {"prompt": [ASK], "chosen": [RIGHT], "rejected": [WRONG], "tools": []},
    "arguments of the template": {
        "prompt": [ASK],
        "chosen": [RIGHT],
        "rejected": [WRONG],
        "chat_template_kwargs": {"enable_thinking": False},
    },
    "a call and its result": {
        "prompt": [ASK, call(2, 2, content=""), result("4")],
        "chosen": [RIGHT],
        "rejected": [WRONG],
        "tools": TOOLS,
    },
    "a call without content": {
        "prompt": [ASK, call(2, 2), result("")], "chosen": [RIGHT], "rejected": [WRONG],
    },
    "a call of null content": {
        "prompt": [ASK, call(2, 2, content=None), result("4")],
        "chosen": [RIGHT],
        "rejected": [WRONG],
    },
    "calls as answers": {"prompt": [ASK], "chosen": [call(2, 2)], "rejected": [call(2, 3)]},
    "a call or a guess": {
        "prompt": [ASK], "chosen": [call(2, 2, content="")], "rejected": [say("5, I guess.")],
    },
    "calls of whole conversations": {
        "chosen": [ASK, call(2, 2, content="I add.")], "rejected": [ASK, call(2, 3, content="")],
    },
    "answers of several turns": {
        "prompt": [ASK],
        "chosen": [call(2, 2), result("4"), RIGHT],
        "rejected": [call(2, 3), result("5"), WRONG],
        "tools": TOOLS,
    },
    "results that differ": {
        "prompt": [ASK],
        "chosen": [call(2, 2), result("4"), RIGHT],
        "rejected": [call(2, 2), result("5"), WRONG],
    },
    "reasoning": {
        "prompt": [ASK],
        "chosen": [say("4", reasoning_content="Two and two.")],
        "rejected": [say("4", reasoning_content="I guess.")],
    },
    "an earlier turn's reasoning": {
        "prompt": [ASK, say("4", reasoning_content="Two and two."), {**ASK, "content": "Sure?"}],
        "chosen": [say("Yes.")],
        "rejected": [say("No.")],
    },
}  # fmt: skip
MANY = [
    {**case, "prompt": [{**ASK, "content": f"Task {n}"}, *case.get("prompt", [])]}
    for n, case in enumerate(CASES.values())
    if "prompt" in case
]


def gathered(folder: Path, source: PreferenceSource) -> list[PreferenceRow]:
    """Training rows as they come back from the stage's shards."""
    config = PreferencesConfig((source,), evaluation_share=0.0, calibration_share=0.0)
    run(config, folder, folder / "preferences")
    assert read_manifest(folder / "preferences")["sources"]["s"]["read"].keys() == {"used"}
    return read_pairs(folder / "preferences", "train")


def encoded(rows: list[PreferenceRow], tokenizer: PreTrainedTokenizerFast) -> list[EncodedRow]:
    return encode_rows(rows, Encoder(tokenizer, max_tokens=4096, pad_id=None))


def rendered(tokenizer: PreTrainedTokenizerFast, row: Mapping[str, Any], side: str) -> list[int]:
    """Ids of one side of a row, as transformers has them."""
    tools = row.get("tools")
    text = tokenizer.apply_chat_template(
        [*row.get("prompt", []), *row[side]],
        tools=json.loads(tools) if isinstance(tools, str) else tools,
        tokenize=False,
        **row.get("chat_template_kwargs", {}),
    )
    return tokenizer.backend_tokenizer.encode(str(text), add_special_tokens=False).ids


@pytest.mark.parametrize("case", CASES)
def test_a_conversation_is_encoded_as_transformers_renders_it(tmp_path: Path, case: str) -> None:
    row = CASES[case]
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n")
    tokenizer = make_tokenizer(template=TEMPLATE)
    (made,) = gathered(tmp_path, PreferenceSource("s", Trl(), ("rows.jsonl",)))
    (ids,) = encoded([made], tokenizer)
    assert list(ids.chosen.ids) == rendered(tokenizer, row, "chosen")
    assert list(ids.rejected[0].text.ids) == rendered(tokenizer, row, "rejected")
    # The answer begins where the request's rendering ends, be it with a call or with text.
    begin = str(tokenizer.decode(list(ids.chosen.ids)[: ids.prompt_tokens]))
    assert begin.rstrip().endswith("<|assistant|>")


def test_a_turn_without_content_has_none_for_the_template() -> None:
    row: Record = CASES["a call without content"]
    template = "{% for m in messages %}{{ 'content' in m }} {% endfor %}"
    tokenizer = make_tokenizer(template=template)
    (made,) = rows_of(Trl().rate(row), Pairing(), 1, "s", Counter())
    (ids,) = encoded([made], tokenizer)
    assert list(ids.chosen.ids) == rendered(tokenizer, row, "chosen")
    assert tokenizer.decode(list(ids.chosen.ids)) == "True False True True "


@pytest.mark.parametrize("case", ["a call and its result", "tools as JSON"])
def test_rewards_of_trl_are_trained_on_the_same_tokens(tmp_path: Path, case: str) -> None:
    checkpoint = make_checkpoint(tmp_path / "checkpoint", template=TEMPLATE)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(checkpoint)
    settings: dict[str, Any] = {"gradient_checkpointing": None, "max_length": None}
    trainer = RewardTrainer(
        str(checkpoint),
        args=RewardConfig(str(tmp_path), report_to=[], use_cpu=True, bf16=False, **settings),
        # What TRL says to do about the nulls of tables.
        train_dataset=Rows.from_list([CASES[case]]).with_transform(remove_none_values),
        processing_class=tokenizer,
    )
    (tmp_path / "rows.jsonl").write_text(json.dumps(CASES[case]) + "\n")
    made = gathered(tmp_path, PreferenceSource("s", Trl(), ("rows.jsonl",)))
    (ids,) = encoded(made, tokenizer)
    assert isinstance(trainer.train_dataset, Rows)
    assert trainer.train_dataset["chosen_ids"][0] == list(ids.chosen.ids)
    assert trainer.train_dataset["rejected_ids"][0] == list(ids.rejected[0].text.ids)


def test_tables_fill_absent_members_with_null_and_nothing_is_rendered_of_them(
    tmp_path: Path,
) -> None:
    rows = [{"tools": None, "chat_template_kwargs": None, **row} for row in MANY]
    for row in rows:
        row["tools"] = json.dumps(TOOLS) if row["tools"] else None
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "rows.parquet")
    tokenizer = make_tokenizer(template=TEMPLATE)
    made = gathered(tmp_path, PreferenceSource("s", Trl(), ("rows.parquet",)))
    found = {tuple(each.chosen.ids) for each in encoded(made, tokenizer)}
    plain = [{key: value for key, value in row.items() if value} for row in rows]
    assert found == {tuple(rendered(tokenizer, row, "chosen")) for row in plain}


def test_other_formats_keep_calls_and_tools(tmp_path: Path) -> None:
    tokenizer = make_tokenizer(template=TEMPLATE)
    rated = {
        "instruction": [ASK],
        "completions": [
            {"response": [call(2, 2)], "fine-grained_score": 5},
            {"response": "It is 5.", "fine-grained_score": 1},
        ],
        "tools": TOOLS,
    }
    labelled = {
        "prompt": [ASK],
        "candidates": [{"text": [call(2, 2)], "correct": True}, {"text": "5", "correct": False}],
        "tools": TOOLS,
    }
    for name, row, how in (("u", rated, UltraFeedback()), ("l", labelled, Labelled())):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "rows.jsonl").write_text(json.dumps(row) + "\n")
        made = gathered(folder, PreferenceSource("s", how, ("rows.jsonl",)))
        (ids,) = encoded(made, tokenizer)
        expected = {"prompt": [ASK], "chosen": [call(2, 2)], "tools": TOOLS}
        assert list(ids.chosen.ids) == rendered(tokenizer, expected, "chosen")


def test_a_call_is_no_empty_answer_and_an_empty_answer_is(tmp_path: Path) -> None:
    rows = [
        CASES["a call or a guess"],
        {"prompt": [ASK], "chosen": [say("", tool_calls=[])], "rejected": [RIGHT]},
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = PreferencesConfig((PreferenceSource("s", Trl(), ("rows.jsonl",)),))
    run(config, tmp_path, tmp_path / "preferences")
    read = read_manifest(tmp_path / "preferences")["sources"]["s"]["read"]
    assert read == {"used": 1, "the answers are empty or the same text": 1}
