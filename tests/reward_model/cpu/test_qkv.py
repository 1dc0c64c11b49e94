"""Projections give the heads that transformers' layers give, but for the order inside a head."""

import pytest
import torch
from torch import nn
from transformers.models.qwen3.modeling_qwen3 import Qwen3RMSNorm, apply_rotary_pos_emb

from reward_model.cpu.qkv import RotaryProjection, rms_normalized, rotation_of, stacked_weights

HIDDEN, WIDTH, TOKENS, EPSILON = 32, 8, 5, 1e-6

needs_onednn = pytest.mark.skipif(
    not torch.backends.mkldnn.is_available(), reason="this torch has no oneDNN"
)


def random_norm(size: int) -> Qwen3RMSNorm:
    norm = Qwen3RMSNorm(size, EPSILON)
    nn.init.normal_(norm.weight, 1.0, 0.5)
    return norm


def angles() -> tuple[torch.Tensor, torch.Tensor]:
    """cos and sin [1, T, D], as transformers makes them."""
    frequencies = 10_000.0 ** -(torch.arange(WIDTH // 2) / (WIDTH // 2))
    angle = (torch.arange(TOKENS)[:, None] * frequencies).repeat(1, 2).unsqueeze(0)
    return angle.cos(), angle.sin()


def paired(heads: torch.Tensor) -> torch.Tensor:
    """transformers' order inside a head -> ours: what is rotated together is neighbours."""
    return heads[..., torch.arange(WIDTH).view(2, -1).T.flatten()]


@needs_onednn
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("has_head_norm", [False, True])
@torch.inference_mode()
def test_keys_are_rotated_and_values_are_not(bias: bool, has_head_norm: bool) -> None:
    torch.manual_seed(0)
    key, value = (nn.Linear(HIDDEN, 2 * WIDTH, bias=bias) for _ in "kv")
    norm, head_norm = random_norm(HIDDEN), random_norm(WIDTH) if has_head_norm else None
    projection = RotaryProjection([key, value], norm, head_norm, width=WIDTH, epsilon=EPSILON)
    rows = torch.randn(TOKENS, HIDDEN)
    keys, values = projection(rms_normalized(rows, EPSILON), rotation_of(angles()))

    normed = norm(rows)
    plain = key(normed).view(1, TOKENS, 2, WIDTH)
    plain = head_norm(plain) if head_norm else plain
    plain = plain.transpose(1, 2)
    expected, _ = apply_rotary_pos_emb(plain, plain, *angles())
    torch.testing.assert_close(keys, paired(expected), atol=1e-5, rtol=1e-4)
    expected_values = value(normed).view(1, TOKENS, 2, WIDTH).transpose(1, 2)
    torch.testing.assert_close(values, expected_values, atol=1e-5, rtol=1e-4)


def test_rms_normalized_is_the_norm_without_its_weight() -> None:
    norm = random_norm(HIDDEN)
    rows = torch.randn(TOKENS, HIDDEN)
    torch.testing.assert_close(rms_normalized(rows, EPSILON) * norm.weight, norm(rows))


@pytest.mark.parametrize("bias", [False, True])
def test_stacked_weights_are_one_product_for_several(bias: bool) -> None:
    linears = [nn.Linear(HIDDEN, size, bias=bias) for size in (8, 16)]
    norm, rows = random_norm(HIDDEN), torch.randn(TOKENS, HIDDEN)
    weight, stacked_bias = stacked_weights(linears, norm)
    product = nn.functional.linear(rms_normalized(rows, EPSILON), weight, stacked_bias)
    expected = torch.cat([linear(norm(rows)) for linear in linears], dim=-1)
    torch.testing.assert_close(product, expected, atol=1e-5, rtol=1e-4)
