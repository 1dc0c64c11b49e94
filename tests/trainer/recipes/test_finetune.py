"""A base and a preference file are enough for a release, as chat models are published."""

import json
from pathlib import Path

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
)

from reward_model.release.release import open_release
from tests.checkpoints import make_checkpoint, make_tokenizer
from trainer.pipeline.overrides import overridden
from trainer.pipeline.running import run_recipe
from trainer.pipeline.stage import read_manifest
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
        "evaluate.resamples=50",
    ]
    run_recipe(overridden(open_recipe("finetune"), settings), folder, None, None)
    return folder


def test_a_base_and_a_preference_file_end_in_a_release(work: Path) -> None:
    release = open_release(work / "release")
    assert release.golden
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
    with torch.inference_mode():
        scores = model(**batch).logits[:, 0].tolist()
    assert scores == pytest.approx([golden.score for golden in release.golden[:6]], abs=1e-4)
