"""Random networks of a size, made on the device itself, and what their forward costs in theory."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging as transformers_logging

from benchmarks.cost import attended_pairs
from benchmarks.gpu_day.scale import Scale, Size
from reward_model.packing import Sequence, pack
from reward_model.release.checkpoint import set_dtype

POSITIONS = 8192
"""Tokens of the longest text that they take."""

_TOKENIZER = Path(__file__).resolve().parents[2] / "releases" / "tiny-code-rm"


def load_tokenizer() -> PreTrainedTokenizerBase:
    """The default release's, which needs no download."""
    tokenizer = AutoTokenizer.from_pretrained(_TOKENIZER, model_max_length=POSITIONS)
    assert isinstance(tokenizer, PreTrainedTokenizerBase)
    return tokenizer


def make_model(
    architecture: str, shape: Mapping[str, object], device: str, dtype: str
) -> PreTrainedModel:
    """A random sequence classifier: the same weights for the same shape, whatever the dtype.

    Making it on the device avoids writing, reading and converting 15 GB for 7 B parameters.
    """
    transformers_logging.disable_progress_bar()
    config = AutoConfig.for_model(
        architecture,
        **{
            "max_position_embeddings": POSITIONS,
            "pad_token_id": 0,
            "num_labels": 1,
            "problem_type": "regression",
            **shape,
        },
    )
    torch.manual_seed(0)
    with torch.device(device):
        model = AutoModelForSequenceClassification.from_config(config, dtype=torch.float32)
    assert isinstance(model, PreTrainedModel)
    # At this scale attention matters to the score, as it hardly would at 0.02.
    for name, weight in model.named_parameters():
        if weight.ndim >= 2:
            nn.init.normal_(weight, std=1.0 if "embed" in name else weight.shape[-1] ** -0.5)
    set_dtype(model, dtype)
    model.eval()
    return model


def sized_model(size: Size, scale: Scale) -> PreTrainedModel:
    """A random network of Qwen2's architecture in one of the scale's sizes."""
    return make_model("qwen2", size_shape(size, scale), scale.device, scale.dtype)


def size_shape(size: Size, scale: Scale) -> dict[str, object]:
    """The entries of a Qwen2 config for a size."""
    return {
        "vocab_size": scale.vocabulary,
        "hidden_size": size.hidden,
        "intermediate_size": size.intermediate,
        "num_hidden_layers": size.layers,
        "num_attention_heads": size.heads,
        "num_key_value_heads": size.key_heads,
    }


def forward_flops(size: Size, batches: list[list[Sequence]]) -> float:
    """Operations of the packed forward: two for each weight of a product and token, and attention.

    The embedding is a lookup, and the head works on the tokens that are read alone.
    """
    head = size.hidden // size.heads
    attention = size.hidden * (2 * size.hidden + 2 * head * size.key_heads)
    weights = size.layers * (attention + 3 * size.hidden * size.intermediate)
    packed = [pack(batch) for batch in batches]
    tokens = sum(len(each.ids) for each in packed)
    pairs = sum(attended_pairs(each) for each in packed)
    # A pair costs a product of query and key, and one of weight and value.
    return 2.0 * weights * tokens + 4.0 * size.layers * size.hidden * pairs
