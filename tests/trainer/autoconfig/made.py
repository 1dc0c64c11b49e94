"""A tiny chat model, and preference files, for runs from a file to a release."""

import json
from pathlib import Path

from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

from tests.checkpoints import make_checkpoint, make_tokenizer

WORDS = ("add", "item", "total", "limit", "fox", "dog", "jumps", "return")


def chat_model(folder: Path, *, template: str | None = None) -> Path:
    """A causal language model, whose tokenizer has no pad token; `template` "" is none."""
    shape = make_checkpoint(folder.with_name(f"{folder.name}-shape"), "llama")
    config = AutoModelForSequenceClassification.from_pretrained(shape).config
    config.tie_word_embeddings = True
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    tokenizer = make_tokenizer()
    tokenizer.pad_token = None
    if template is not None:
        tokenizer.chat_template = template
    tokenizer.save_pretrained(folder)
    return folder


def pair_rows(count: int) -> list[dict[str, object]]:
    """Rows of TRL's columns, each with a prompt of its own."""
    return [
        {
            "prompt": f"{WORDS[number % 8]} {number} numbers",
            "chosen": f"def {WORDS[number % 8]}(a, b): return a + {number}",
            "rejected": f"{WORDS[(number + 3) % 8]} {number}",
        }
        for number in range(count)
    ]


def write_rows(file: Path, rows: list[dict[str, object]]) -> Path:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file
