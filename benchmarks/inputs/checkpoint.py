"""A random Qwen2-shaped checkpoint to measure, with the default release's tokenizer and template.

Speed does not depend on what weights were trained for, and a checkpoint that anybody can make again
needs no download.
"""

import argparse
from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

POSITIONS = 8192
"""Tokens of the longest text it takes."""

_TOKENIZER = Path(__file__).resolve().parents[2] / "releases" / "tiny-code-rm"


def make_checkpoint(folder: Path, hidden: int = 512, layers: int = 8) -> Path:
    """Save one of 40 M parameters, or of another size; `hidden` is a multiple of 64.

    Random weights at a scale where attention matters to the score, as it hardly would at 0.02.
    """
    config = AutoConfig.for_model(
        "qwen2",
        vocab_size=32_000,
        hidden_size=hidden,
        intermediate_size=hidden * 11 // 4,
        num_hidden_layers=layers,
        num_attention_heads=hidden // 64,
        num_key_value_heads=max(1, hidden // 128),
        max_position_embeddings=POSITIONS,
        pad_token_id=0,
        num_labels=1,
        problem_type="regression",  # vLLM would answer a sigmoid of the score otherwise
    )
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_config(config)
    for name, weight in model.named_parameters():
        if weight.ndim == 2:
            torch.nn.init.normal_(weight, std=1.0 if "embed" in name else weight.shape[1] ** -0.5)
    model.save_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(_TOKENIZER, model_max_length=POSITIONS)
    assert tokenizer.pad_token_id == config.pad_token_id
    tokenizer.save_pretrained(folder)
    return folder


def add_checkpoint_options(parser: argparse.ArgumentParser) -> None:
    """Which checkpoint is measured, and how large the random one is."""
    parser.add_argument("--model", type=Path, help="a checkpoint to use instead of a random one")
    parser.add_argument("--hidden", type=int, default=512, help="of the random one")
    parser.add_argument("--layers", type=int, default=8, help="of the random one")
