"""The CUDA attention path against the plain forward. Skipped where there is no GPU."""

from functools import cache
from pathlib import Path

import pytest
import torch
from torch import nn
from transformers import AutoModelForSequenceClassification, PreTrainedModel

from reward_model.network import RewardNetwork
from reward_model.packing import Sequence
from reward_model.release.release import open_release
from tests.checkpoints import make_checkpoint

pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU"),
    pytest.mark.filterwarnings("ignore:TensorFloat32 tensor cores"),
]

PROMPT = tuple(7 + i % 300 for i in range(150))
BRANCHES = [PROMPT + tuple(7 + (i * k) % 300 for i in range(40)) for k in range(1, 17)]
LONG = [tuple(7 + (i * k) % 300 for i in range(500)) for k in (1, 3, 7, 11, 13)]
BATCHES = [[*BRANCHES, PROMPT[:70]], [*BRANCHES, *LONG], [PROMPT[:5]], [*LONG, *BRANCHES[:2]]]
"""Batches of one bucket, of several, of a few tokens: the kernel is compiled for several sizes."""


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-4), ("bfloat16", 2e-2)])
@pytest.mark.parametrize("architecture", ["qwen2", "llama"])
def test_packed_scores_are_the_plain_ones(
    tmp_path: Path, architecture: str, dtype: str, tolerance: float
) -> None:
    checkpoint = make_checkpoint(tmp_path, architecture, hidden_size=256, intermediate_size=512)
    network = RewardNetwork.load(open_release(checkpoint), device="cuda", dtype=dtype)
    assert network.shares_prefixes, network.fallback_reason
    for batch in BATCHES:
        packed = network.score([Sequence(text, (len(text) - 1,)) for text in batch])
        plain = [plain_score(checkpoint, dtype, text) for text in batch]
        assert [score for (score,) in packed] == pytest.approx(plain, abs=tolerance)


@cache
def plain_score(checkpoint: Path, dtype: str, text: tuple[int, ...]) -> float:
    """transformers alone, on the GPU and in the same dtype, with a float32 head."""
    model = plain_model(checkpoint, dtype)
    head = plain_model(checkpoint, "float32").score
    assert isinstance(head, nn.Linear)
    with torch.inference_mode():
        hidden = model.base_model(input_ids=torch.tensor([text], device="cuda"))[0][0, -1]
        return float(head(hidden.float()))


@cache
def plain_model(checkpoint: Path, dtype: str) -> PreTrainedModel:
    model = AutoModelForSequenceClassification.from_pretrained(
        checkpoint, dtype=getattr(torch, dtype)
    )
    assert isinstance(model, PreTrainedModel)
    nn.Module.to(model, "cuda")
    model.eval()
    return model
