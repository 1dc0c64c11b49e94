"""Rows, a tiny model and its encoder for the tests of batches and losses."""

from pathlib import Path

from transformers import PreTrainedModel

from reward_model.text.encoding import Encoder
from trainer.pairs.encoded import encode_rows
from trainer.pairs.row import PreferenceRow, Rejected
from trainer.training.objective.batches import Batch, Collator
from trainer.training.weights.start import load_start

ROWS = [
    PreferenceRow(
        "1",
        "p",
        "add two numbers",
        "def add(a, b): return a + b",
        (Rejected("mutant", "def add(a, b): return a - b"), Rejected("truncated", "def add(a,")),
    ),
    PreferenceRow(
        "2", "p", "add two numbers", "def add(a, b):", (Rejected("other_function", "fox"),)
    ),
    PreferenceRow("3", "p", "the quick fox", "jumps", (Rejected("repeated", "jumps jumps jumps"),)),
]


def load(checkpoint: Path) -> tuple[PreTrainedModel, Encoder]:
    start = load_start(checkpoint, seed=1, with_lm=True)
    return start.model, Encoder(start.tokenizer, max_tokens=512, pad_id=None)


def batch_of(rows: list[PreferenceRow], encoder: Encoder) -> Batch:
    return Collator().batch(encode_rows(rows, encoder))
