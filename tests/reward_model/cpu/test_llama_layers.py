"""Fused layers score as transformers' own, whatever the weights of norms and the biases are."""

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForSequenceClassification, PreTrainedModel

from reward_model.attention import tree_attention as attention
from reward_model.cpu import llama_layers as fused
from reward_model.cpu.llama_layers import FusedLlamaLayer
from reward_model.cpu.qkv import rotation_of
from reward_model.network import RewardNetwork
from reward_model.packing import Sequence
from reward_model.release.release import open_release
from tests.checkpoints import make_checkpoint

pytestmark = pytest.mark.skipif(
    not torch.backends.mkldnn.is_available(), reason="this torch has no oneDNN"
)

SHAPES: dict[str, dict[str, object]] = {
    "llama": {"attention_bias": True},
    "mistral": {"sliding_window": 16},
    "qwen2": {},
    "qwen3": {"head_dim": 32},
}
TRUNK = tuple(7 + (i * 31) % 300 for i in range(60))
TEXTS = [TRUNK, TRUNK[:30], (*TRUNK[:30], 9, 8), TRUNK[40:], (*TRUNK[:30], 9, 7), TRUNK[:1]]
BATCH = [Sequence(text, tuple({0, len(text) // 2, len(text) - 1})) for text in TEXTS]


@pytest.fixture(params=SHAPES)
def model(request: pytest.FixtureRequest, tmp_path: Path) -> PreTrainedModel:
    """As trained ones are: nothing is left at one or zero."""
    path = make_checkpoint(tmp_path / "model", request.param, shape=SHAPES[request.param])
    model = AutoModelForSequenceClassification.from_pretrained(path).eval()
    assert isinstance(model, PreTrainedModel)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(torch.randn_like(parameter) / 4)
    return model


def saved(model: PreTrainedModel, path: Path) -> RewardNetwork:
    model.save_pretrained(path)
    return RewardNetwork.load(open_release(path), device="cpu")


@pytest.mark.parametrize(("compiled", "rows"), [(True, 4096), (False, 4096), (True, 32)])
def test_scores_at_every_read_position_are_those_of_transformers(
    model: PreTrainedModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    compiled: bool,
    rows: int,
) -> None:
    """With our kernel, as far as there is one here, and on torch's; an MLP whole and in parts."""
    monkeypatch.setattr(fused, "_MLP_ROWS", rows)
    if not compiled:
        monkeypatch.setattr(attention, "tree_kernel", lambda: None)
    network = saved(model, tmp_path / "model")
    layers = network.model.base_model.get_submodule("layers")
    assert network.fuses_layers
    assert all(isinstance(layer, FusedLlamaLayer) for layer in layers.children())
    for sequence, scores in zip(BATCH, network.score(BATCH), strict=True):
        assert scores == pytest.approx(plain_scores(model, sequence), abs=1e-4)


@torch.inference_mode()
def plain_scores(model: PreTrainedModel, sequence: Sequence) -> list[float]:
    hidden = model.base_model(input_ids=torch.tensor([sequence.ids])).last_hidden_state[0]
    scores = hidden @ model.get_parameter("score.weight")[0]
    return [float(scores[position]) for position in sequence.read_at]


def test_a_layer_that_would_not_compute_the_same_stays_as_it_is(
    model: PreTrainedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = saved(model, tmp_path / "model").score(BATCH)
    monkeypatch.setattr(fused, "rotation_of", lambda angles: torch.ones_like(rotation_of(angles)))
    network = saved(model, tmp_path / "model")
    assert network.shares_prefixes
    assert not network.fuses_layers
    for ours, theirs in zip(network.score(BATCH), expected, strict=True):
        assert ours == pytest.approx(theirs, abs=1e-4)


def test_bfloat16_is_not_fused(model: PreTrainedModel, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path / "model")
    release = open_release(tmp_path / "model")
    assert not RewardNetwork.load(release, device="cpu", dtype="bfloat16").fuses_layers
