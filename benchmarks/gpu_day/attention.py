"""FlexAttention's blocks against variable-length flash attention, for texts that share nothing."""

import random
from collections.abc import Iterator
from functools import partial

import torch

from benchmarks.gpu_day.ceiling import seconds_each
from benchmarks.gpu_day.day import Row, Setting
from reward_model.attention.sdpa import AttentionParams
from reward_model.attention.tree import Tree, bucketed
from reward_model.attention.tree_attention import attend_flex
from reward_model.packing import Sequence, pack


def run(setting: Setting) -> Iterator[Row]:
    """Texts of one length in batches of the scale's largest size, heads of its largest network."""
    scale, size = setting.scale, setting.scale.sizes[-1]
    rng = random.Random(1)
    width = size.hidden // size.heads
    dtype: torch.dtype = getattr(torch, scale.dtype)
    lengths = (scale.candidate, scale.prompt + scale.candidate, 4 * scale.prompt)
    # FlexAttention that is not compiled takes seconds for each length.
    for length in lengths if scale.device == "cuda" else lengths[:1]:
        count = max(1, scale.batch_tokens[-1] // length)
        texts = [(n, *(rng.randrange(1000, 2000) for _ in range(length - 1))) for n in range(count)]
        packed = bucketed(pack([Sequence(text, (length - 1,)) for text in texts]))
        tree = Tree.of(packed, torch.device(scale.device))
        tokens = len(packed.ids)
        query = torch.randn(1, size.heads, tokens, width, device=scale.device, dtype=dtype)
        key, value = (
            torch.randn(1, size.key_heads, tokens, width, device=scale.device, dtype=dtype)
            for _ in range(2)
        )
        params = AttentionParams(None, None, None)
        with torch.inference_mode():
            flex = seconds_each(
                partial(attend_flex, query, key, value, tree, params), scale.device, scale.turns
            )
            flash = _flash_seconds(query, key, value, length, count, scale.device, scale.turns)
        # A product of query and key and one of weight and value, for half of the square.
        operations = 4 * size.hidden * count * length * (length + 1) / 2
        row: Row = {"text tokens": length, "texts": count, "flex TFLOP/s": operations / flex / 1e12}
        yield row | (
            {"flash TFLOP/s": operations / flash / 1e12, "flex / flash": flash / flex}
            if isinstance(flash, float)
            else {"flash TFLOP/s": flash}
        )


def _flash_seconds(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    length: int,
    count: int,
    device: str,
    turns: int,
) -> float | str:
    """Seconds of the variable-length call; why there are none otherwise."""
    if device == "cpu":
        return "needs CUDA"
    try:
        from torch.nn.attention.varlen import varlen_attn

        groups = query.shape[1] // key.shape[1]
        # Not every version takes grouped queries, and what they cost is small here.
        key, value = (part.repeat_interleave(groups, dim=1) for part in (key, value))
        queries, keys, values = (
            part[0, :, : count * length].transpose(0, 1).contiguous()
            for part in (query, key, value)
        )
        ends = torch.arange(0, count * length + 1, length, device=device, dtype=torch.int32)

        def call() -> object:
            sizes = (ends, ends, length, length)
            return varlen_attn(queries, keys, values, *sizes, window_size=(-1, 0))

        return seconds_each(call, device, turns)
    except (ImportError, RuntimeError, TypeError, ValueError) as error:
        return f"{type(error).__name__}: {str(error)[:100]}"
