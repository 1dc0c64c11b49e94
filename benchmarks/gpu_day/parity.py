"""Is the packed forward right on this device? Every attention shape that its kernel knows.

The reference is transformers, one text at a time, in the same dtype. A bfloat16 score also has the
rounding of its own dtype, so the same network in float32 stands beside it.
"""

import math
import random
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import nn
from torch._dynamo.utils import counters
from transformers import PreTrainedModel

from benchmarks.gpu_day.day import Row, Setting
from benchmarks.gpu_day.networks import load_tokenizer, make_model
from benchmarks.harness.page import verdict
from reward_model.network import RewardNetwork
from reward_model.packing import Sequence

Ids = tuple[int, ...]

TOLERANCE = {"float32": 1e-4, "bfloat16": 2e-2}
"""Largest difference of a score, as a share of the largest score or of 1, whichever is more; the
self-check at load allows the same."""

_VOCABULARY = 512
_SMALL = {
    "vocab_size": _VOCABULARY,
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
_WINDOW = 48

# The shapes that differ in what attention does come first: each is a kernel of its own.
SHAPES: dict[str, tuple[str, dict[str, object]]] = {
    "grouped queries, 64 wide": ("qwen2", {}),
    "one key head, 128 wide": (
        "llama",
        {"num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 128},
    ),
    "no groups, 32 wide": ("llama", {"num_attention_heads": 8, "num_key_value_heads": 8}),
    "7 queries a key": (
        "qwen2",
        {"hidden_size": 448, "num_attention_heads": 7, "num_key_value_heads": 1},
    ),
    "sliding window": ("mistral", {"sliding_window": _WINDOW}),
    "window and soft cap": (
        "gemma2",
        {
            "head_dim": 64,
            "sliding_window": _WINDOW,
            "query_pre_attn_scalar": 64,
            "attn_logit_softcapping": 2.0,
        },
    ),
    "256 wide": ("gemma", {"head_dim": 256, "num_attention_heads": 2, "num_key_value_heads": 1}),
    "window in some layers": (
        "gemma3_text",
        {"head_dim": 64, "sliding_window": _WINDOW, "query_pre_attn_scalar": 64},
    ),
    "norms of query and key": ("qwen3", {"head_dim": 64}),
    "rotation of a part": ("gpt_neox", {}),
    "learned positions": (
        "gpt2",
        {"n_embd": 256, "n_head": 4, "n_layer": 2, "n_positions": 2048},
    ),
    "experts": ("mixtral", {"num_local_experts": 4, "sliding_window": _WINDOW}),
}

_PROMPT: Ids = tuple(7 + i % 300 for i in range(150))
_BRANCHES = [_PROMPT + tuple(7 + (i * k) % 300 for i in range(40)) for k in range(1, 17)]
_LONG = [tuple(7 + (i * k) % 300 for i in range(500)) for k in (1, 3, 7, 11, 13)]
BATCHES: list[list[Ids]] = [
    [*_BRANCHES, _PROMPT[:70]],
    [*_BRANCHES, *_LONG],
    [_PROMPT[:5]],
    [*_LONG, *_BRANCHES[:2]],
]
"""Batches of one bucket, of several, and of a few tokens: the kernel is compiled for each kind."""


def run(setting: Setting) -> Iterator[Row]:
    """A row for each shape and dtype."""
    device = setting.scale.device
    on_gpu = device == "cuda"
    # A dry run takes one shape and one batch, which says that the program works.
    shapes = dict(list(SHAPES.items())[: None if on_gpu else 2])
    batches = BATCHES if on_gpu else BATCHES[2:3]
    for name, (architecture, shape) in shapes.items():
        for dtype in ("bfloat16", "float32"):
            yield check_shape(name, architecture, shape, device, dtype, batches)


def check_shape(
    name: str,
    architecture: str,
    shape: dict[str, object],
    device: str,
    dtype: str,
    batches: list[list[Ids]],
) -> Row:
    """Packed scores against plain ones, what was compiled, and how often the host waited."""
    plain = make_model(architecture, _SMALL | shape, device, dtype)
    exact = (
        plain if dtype == "float32" else make_model(architecture, _SMALL | shape, device, "float32")
    )
    before = compiled_graphs()
    network = RewardNetwork(
        make_model(architecture, _SMALL | shape, device, dtype), load_tokenizer(), 2048
    )
    if not network.shares_prefixes:
        reason = str(network.fallback_reason)
        return {"attention": name, "model": architecture, "dtype": dtype, "met": reason}
    gap = rounding = scale = 1e-9
    for batch in batches:
        packed = [score for (score,) in network.score(last(batch))]
        for text, score in zip(batch, packed, strict=True):
            wanted, true = plain_score(plain, text), plain_score(exact, text)
            gap, rounding = max(gap, abs(score - wanted)), max(rounding, abs(wanted - true))
            scale = max(scale, abs(wanted))
    scale = max(1.0, scale)
    warm = compiled_graphs()
    sizes = [last([text[: 50 + 90 * n] for text in _LONG]) for n in range(3)]
    for batch_of_new_size in sizes:
        network.score(batch_of_new_size)
    again = compiled_graphs() - warm
    spread = nan_spread(network, batches[0], network.score)
    holds = gap / scale <= TOLERANCE[dtype] and not spread and not again
    return {
        "attention": name,
        "model": architecture,
        "dtype": dtype,
        "gap": gap / scale,
        "rounding": rounding / scale,
        "compiled": warm - before,
        "compiled again": again,
        "waits": host_waits(network, batches[0]),
        "NaN spread": spread,
        "NaN in the kernel": nan_spread(network, batches[0], partial(_at_once, network)),
        "met": verdict(holds),
    }


@torch.inference_mode()
def plain_score(model: PreTrainedModel, text: Ids) -> float:
    """transformers alone, with a float32 head."""
    head = model.score
    assert isinstance(head, nn.Linear)
    ids = torch.tensor([text], device=model.device)
    hidden = model.base_model(input_ids=ids).last_hidden_state[0, -1]
    return float(head(hidden.float()))


def _at_once(network: RewardNetwork, batch: list[Sequence]) -> list[list[float]]:
    """Scores of one forward, none of which is computed again."""
    return network.launch(network.prepare(batch)).wait()


def nan_spread(
    network: RewardNetwork,
    batch: list[Ids],
    score: Callable[[list[Sequence]], list[list[float]]],
) -> int:
    """How many texts without a NaN of their own have another score when one text has one."""
    # A token of its own at the end of one text, whose embedding is no number.
    spot = 500
    texts = [*batch, (*batch[0][:-1], spot)]
    expected = score(last(texts))
    embedding = network.model.get_input_embeddings()
    assert isinstance(embedding, nn.Embedding)
    kept = embedding.weight[spot].clone()
    with torch.no_grad():
        embedding.weight[spot] = torch.nan
    found = score(last(texts))
    with torch.no_grad():
        embedding.weight[spot] = kept
    pairs = list(zip(expected, found, strict=True))
    limit = TOLERANCE[str(network.dtype).removeprefix("torch.")]
    changed = sum(not math.isclose(a, b, abs_tol=limit, rel_tol=limit) for [a], [b] in pairs[:-1])
    return changed + (not math.isnan(found[-1][0]))


def host_waits(network: RewardNetwork, batch: list[Ids]) -> int:
    """How often the forward waits for the GPU before its scores are read: it should not."""
    if network.model.device.type != "cuda":
        return 0
    prepared = network.prepare(last(batch))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            launched = network.launch(prepared)
        finally:
            torch.cuda.set_sync_debug_mode("default")
    launched.wait()
    return sum("synchroniz" in str(each.message) for each in caught)


def compiled_graphs() -> int:
    """Graphs that torch.compile has made in this process."""
    stats: Any = counters["stats"]
    return int(stats["unique_graphs"])


def last(texts: list[Ids]) -> list[Sequence]:
    """Texts that are read at their last token."""
    return [Sequence(text, (len(text) - 1,)) for text in texts]


def draw(rng: random.Random, count: int) -> Ids:
    """Random tokens."""
    return tuple(rng.randrange(7, 400) for _ in range(count))
