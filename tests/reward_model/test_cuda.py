"""The CUDA attention path against the plain forward. Skipped where there is no GPU."""

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForSequenceClassification

from reward_model.network import RewardNetwork
from reward_model.packing import Sequence
from reward_model.release import open_release
from tests.checkpoints import make_checkpoint

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")

PROMPT = tuple(7 + i % 300 for i in range(150))
TEXTS = [PROMPT + tuple(7 + (i * k) % 300 for i in range(40)) for k in range(1, 17)] + [PROMPT[:70]]


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-4), ("bfloat16", 2e-2)])
@pytest.mark.parametrize("architecture", ["qwen2", "llama"])
def test_packed_scores_are_the_plain_ones(
    tmp_path: Path, architecture: str, dtype: str, tolerance: float
) -> None:
    checkpoint = make_checkpoint(tmp_path, architecture, hidden_size=256, intermediate_size=512)
    network = RewardNetwork.load(open_release(checkpoint), device="cuda", dtype=dtype)
    assert network.shares_prefixes, network.fallback_reason
    model = AutoModelForSequenceClassification.from_pretrained(checkpoint, dtype=torch.float32)
    with torch.inference_mode():
        plain = [float(model(input_ids=torch.tensor([text])).logits[0, 0]) for text in TEXTS]
    packed = network.score([Sequence(text, (len(text) - 1,)) for text in TEXTS])
    assert [score for (score,) in packed] == pytest.approx(plain, abs=tolerance)
