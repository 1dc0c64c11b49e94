"""A base and a preference file are enough for a release, as chat models are published."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BatchEncoding,
)

from reward_model.release.release import open_release
from tests.checkpoints import make_checkpoint, make_tokenizer
from trainer.pipeline.overrides import overridden
from trainer.pipeline.running import run_recipe
from trainer.pipeline.stage import StageError, read_manifest
from trainer.recipes import open_recipe

WORDS = ("add", "item", "total", "limit", "fox", "dog", "jumps", "return")


def chat_model(folder: Path) -> Path:
    """A causal language model whose tokenizer pads with the token that ends every turn."""
    shape = make_checkpoint(folder.with_name("shape"), "llama", tie_word_embeddings=True)
    config = AutoModelForSequenceClassification.from_pretrained(shape).config
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    tokenizer = make_tokenizer()
    tokenizer.eos_token = tokenizer.pad_token = "<|end|>"
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("work")
    rows = [
        {
            "prompt": f"{WORDS[number % 8]} {number} numbers",
            "chosen": f"def {WORDS[number % 8]}(a, b): return a + {number}",
            "rejected": f"{WORDS[(number + 3) % 8]} {number}",
        }
        for number in range(120)
    ]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "preferences.jsonl").write_text(text)
    settings = [
        f"finetune.start={chat_model(folder / 'chat')}",
        "preferences.calibration_share=0.1",
        "finetune.max_steps=4",
        "finetune.report_to=none",
        "finetune.max_length=100",
        "evaluate.resamples=50",
    ]
    run_recipe(overridden(open_recipe("finetune"), settings), folder, None, None)
    return folder


def test_a_base_and_a_preference_file_end_in_a_release(work: Path) -> None:
    release = open_release(work / "release")
    assert release.golden
    # The tokenizer has no limit, and the model takes 512.
    assert release.encoding is not None
    assert release.encoding.max_tokens == 100
    assert "It begins with `chat`" in (release.path / "README.md").read_text()
    assert read_manifest(work / "finetune")["pad_token"]["replaced"] == "<|end|>"


def test_transformers_reads_the_release_as_it_was_scored_in_padded_batches(work: Path) -> None:
    """The score is read at the last token that is no pad, which the end of a text would be."""
    release = open_release(work / "release")
    model = AutoModelForSequenceClassification.from_pretrained(release.path).eval()
    tokenizer = AutoTokenizer.from_pretrained(release.path)
    assert tokenizer.pad_token_id == model.config.pad_token_id
    turns = [[turn._asdict() for turn in golden.messages] for golden in release.golden[:6]]
    batch = tokenizer.apply_chat_template(
        turns, padding=True, return_tensors="pt", return_dict=True
    )
    assert isinstance(batch, BatchEncoding)
    with torch.inference_mode():
        scores = model(**batch).logits[:, 0].tolist()
    assert scores == pytest.approx([golden.score for golden in release.golden[:6]], abs=1e-4)


def test_a_name_that_no_release_can_have_is_refused_before_anything_runs(tmp_path: Path) -> None:
    for setting in ("publish.name=my model", "publish.version=", "publish.tolerance=1"):
        with pytest.raises(StageError, match="a release cannot have the"):
            overridden(open_recipe("finetune"), [setting])


def test_files_of_an_evaluation_are_asked_for_before_anything_runs(tmp_path: Path) -> None:
    tasks = 'evaluate.tasks=[{"kind": "candidates", "files": ["held.jsonl"]}]'
    recipe = overridden(open_recipe("finetune"), [tasks])
    with pytest.raises(StageError, match=r"no file is at .*held\.jsonl"):
        run_recipe(recipe, tmp_path, None, None)
    assert not list(tmp_path.iterdir())


_TOOLS: Any = [{"type": "function", "function": {"name": "add"}}]
_CALLING = """\
{%- if tools %}<|system|>{{ tools | tojson }}<|end|>{% endif %}
{%- for message in messages -%}
<|{{ message.role }}|>{{ message.content or '' }}
{%- for call in message.tool_calls or [] %}{{ call.function | tojson }}{% endfor %}<|end|>
{%- endfor %}"""


def test_golden_scores_are_of_the_calls_and_tools_that_a_model_has_learnt(work: Path) -> None:
    folder = work / "calling"
    base = make_checkpoint(folder / "base", "llama", template=_CALLING)

    def calling(name: str, number: int) -> list[dict[str, object]]:
        call = {"type": "function", "function": {"name": name, "arguments": {"a": number}}}
        return [{"role": "assistant", "content": None, "tool_calls": [call]}]

    rows = [
        {
            "prompt": f"{WORDS[number % 8]} {number}",
            "chosen": calling("add", number),
            "rejected": calling("fox", number),
            "tools": _TOOLS,
        }
        for number in range(60)
    ]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "preferences.jsonl").write_text(text)
    settings = [
        f"finetune.start={base}",
        "preferences.calibration_share=0.2",
        "finetune.max_steps=1",
        "finetune.eval_steps=0",
        "finetune.report_to=none",
        "evaluate.resamples=5",
        "publish.golden_prompts=1",
    ]
    run_recipe(overridden(open_recipe("finetune"), settings), folder, None, None)
    golden = open_release(folder / "release").golden[0]
    tokenizer = AutoTokenizer.from_pretrained(folder / "release")
    model = AutoModelForSequenceClassification.from_pretrained(folder / "release").eval()
    messages: Any = [turn.turn() for turn in golden.messages]
    batch = tokenizer.apply_chat_template(
        messages,
        tools=_TOOLS,
        return_tensors="pt",
        return_dict=True,
    )
    assert isinstance(batch, BatchEncoding)
    assert '"name": "add", "arguments"' in tokenizer.decode(batch["input_ids"][0])
    with torch.inference_mode():
        assert float(model(**batch).logits) == pytest.approx(golden.score, abs=1e-4)
