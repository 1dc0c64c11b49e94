"""Every architecture that is packed scores as transformers does, one text at a time."""

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

Ids = tuple[int, ...]
WINDOW = 8
_MOE: dict[str, object] = {"moe_intermediate_size": 32, "num_experts": 4, "num_experts_per_tok": 2}
_WIDE: dict[str, object] = {"head_dim": 16, "sliding_window": WINDOW}
ARCHITECTURES: dict[str, dict[str, object]] = {
    "llama": {},
    "mistral": {"sliding_window": WINDOW},
    "mixtral": {"num_local_experts": 4, "sliding_window": WINDOW},
    "qwen2": {},
    "qwen2 with windows": {
        "use_sliding_window": True,
        "sliding_window": WINDOW,
        "max_window_layers": 1,
    },
    "qwen2_moe": _MOE | {"shared_expert_intermediate_size": 32},
    "qwen3": {"head_dim": 16},
    "qwen3_moe": _MOE | {"head_dim": 16},
    "gemma": {"head_dim": 16},
    "gemma2": _WIDE | {"query_pre_attn_scalar": 16, "attn_logit_softcapping": 2.0},
    "gemma3_text": _WIDE | {"query_pre_attn_scalar": 16},
    "phi": {},
    "phi3": {"sliding_window": WINDOW},
    "gpt_neox": {},
    "gpt2": {"n_embd": 32, "n_head": 4, "n_layer": 2, "n_positions": 512},
    "olmo": {},
    "olmo2": {},
    "smollm3": {},
    "starcoder2": {"sliding_window": WINDOW},
}

TRUNK = tuple(7 + (i * 31) % 300 for i in range(60))
BATCHES: dict[str, list[Ids]] = {
    "alone": [TRUNK],
    "one token": [TRUNK[:1]],
    "in company": [TRUNK, TRUNK[5:40], TRUNK[::2]],
    "shared prefix": [TRUNK[:30] + (8, 9, 10 + i) * (1 + i) for i in range(5)],
    "pad == EOS": [(*TRUNK[:20], 2), (*TRUNK[:20], 2, 2), (2, *TRUNK[:20], 2), (2,), (2, 2)],
    "late branch": [(*TRUNK, 7), (*TRUNK, 8), TRUNK, TRUNK[:-1]],
    "window exceeded after a branch": [
        TRUNK[: WINDOW - 2] + TRUNK[: 3 * WINDOW],
        TRUNK[: WINDOW - 2] + TRUNK[1 : 3 * WINDOW],
    ],
}


@pytest.fixture(scope="module", params=ARCHITECTURES)
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    name: str = request.param
    return make_checkpoint(
        tmp_path_factory.mktemp("model"),
        name.split()[0],
        shape=ARCHITECTURES[name],
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=2,
    )


@pytest.fixture(scope="module")
def network(checkpoint: Path) -> RewardNetwork:
    return RewardNetwork.load(open_release(checkpoint), device="cpu")


@pytest.fixture(scope="module")
def plain(checkpoint: Path) -> PreTrainedModel:
    model = AutoModelForSequenceClassification.from_pretrained(checkpoint)
    assert isinstance(model, PreTrainedModel)
    model.eval()
    return model


@pytest.mark.parametrize("batch", BATCHES)
def test_scores_are_those_of_transformers(
    network: RewardNetwork, plain: PreTrainedModel, batch: str
) -> None:
    assert network.shares_prefixes, network.fallback_reason
    texts = BATCHES[batch]
    scores = network.score([Sequence(text, (len(text) - 1,)) for text in texts])
    expected = [plain_score(plain, text) for text in texts]
    assert [score for (score,) in scores] == pytest.approx(expected, abs=1e-4)


@cache
def plain_score(model: PreTrainedModel, text: Ids) -> float:
    assert isinstance(model.score, nn.Linear)
    with torch.inference_mode():
        hidden = model.base_model(input_ids=torch.tensor([text])).last_hidden_state
        return float(model.score(hidden)[0, -1, 0])


@pytest.mark.parametrize("kind", ["dynamic", "longrope"])
def test_rotary_frequencies_that_look_at_the_batch_are_not_packed(
    tmp_path: Path, kind: str
) -> None:
    factors = {"short_factor": [1.0] * 4, "long_factor": [2.0] * 4} if kind == "longrope" else {}
    rope = {"rope_type": kind, "rope_theta": 10_000.0, "factor": 2.0} | factors
    if kind == "longrope":
        rope["original_max_position_embeddings"] = 16
    path = make_checkpoint(tmp_path, "llama", rope_parameters=rope)
    network = RewardNetwork.load(open_release(path), device="cpu")
    assert "longest text of a batch" in str(network.fallback_reason)


def test_layers_of_a_type_that_is_not_known_are_not_packed(tmp_path: Path) -> None:
    path = make_checkpoint(tmp_path, "qwen2", layer_types=["full_attention", "chunked_attention"])
    network = RewardNetwork.load(open_release(path), device="cpu")
    assert "chunked_attention" in str(network.fallback_reason)
