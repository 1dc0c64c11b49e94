"""The two kinds of attention that arms differ in give the same loss and the same gradients."""

from pathlib import Path

import pytest
import torch

from benchmarks.adapters import ARMS, Arm, computed
from reward_model.attention.compiled_gradient import training_kernels
from tests.checkpoints import make_checkpoint
from tests.trainer.training.objective.rows import ROWS, batch_of, load
from trainer.pairs.encoded import encode_rows
from trainer.training.objective.losses import LossWeights


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    # Two heads of 16: the compiled kernels leave narrower ones to torch, in both arms.
    return make_checkpoint(
        tmp_path,
        "llama",
        tie_word_embeddings=True,
        num_attention_heads=2,
        num_key_value_heads=1,
    )


@pytest.mark.skipif(training_kernels() is None, reason="nothing is compiled here")
def test_arms_compute_the_same(checkpoint: Path) -> None:
    network, encoder = load(checkpoint)
    batch = batch_of(ROWS, encoder)
    kernels = training_kernels()
    assert kernels
    assert kernels.forward.takes(torch.empty(1, 1, 1, network.config.head_dim))
    found = []
    for compiled in {compiled for _, compiled in ARMS.values()}:
        arm = Arm(network.train(), LossWeights())
        arm.compiled = compiled
        arm.zero_grad()
        arm(batch).total.backward()
        gradients = [weight.grad for weight in arm.parameters()]
        found.append([gradient.clone() for gradient in gradients if gradient is not None])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-3)


def test_tokens_of_a_prompt_count_once(checkpoint: Path) -> None:
    _, encoder = load(checkpoint)
    rows = encode_rows(ROWS, encoder)
    assert computed(rows) < sum(
        len(text.ids) for row in rows for text in (row.chosen, *(r.text for r in row.rejected))
    )
