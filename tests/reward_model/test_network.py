"""Packed scores are the plain forward's, whatever else is in the batch."""

import math
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AttentionInterface, AutoModelForSequenceClassification

from reward_model.attention.sdpa import AttentionParams
from reward_model.attention.tree import Tree, bucketed
from reward_model.attention.tree_attention import attend_flex
from reward_model.cpu.onednn_linear import padded_rows
from reward_model.network import RewardNetwork
from reward_model.packing import Sequence, pack
from reward_model.release.release import open_release
from tests.checkpoints import make_checkpoint

ids = st.lists(st.integers(7, 12), min_size=1, max_size=24).map(tuple)
batches = st.lists(ids, min_size=1, max_size=8)


@pytest.fixture(scope="module", params=["qwen2", "llama"])
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_checkpoint(tmp_path_factory.mktemp("model"), request.param)


@pytest.fixture(scope="module")
def network(checkpoint: Path) -> RewardNetwork:
    return RewardNetwork.load(open_release(checkpoint), device="cpu")


def last(*texts: tuple[int, ...]) -> list[Sequence]:
    return [Sequence(text, (len(text) - 1,)) for text in texts]


@given(batch=batches)
@settings(max_examples=40)
def test_company_never_changes_a_score(
    network: RewardNetwork, batch: list[tuple[int, ...]]
) -> None:
    assert network.shares_prefixes
    together = [score for (score,) in network.score(last(*batch))]
    alone = [network.score(last(text))[0][0] for text in batch]
    assert together == pytest.approx(alone, abs=1e-5)


@pytest.mark.parametrize("spot", [torch.nan, torch.inf])
def test_a_text_that_is_no_number_anywhere_is_the_only_one(checkpoint: Path, spot: float) -> None:
    network = RewardNetwork.load(open_release(checkpoint), device="cpu")
    texts = [tuple(range(7, 30)), (*range(40, 50), 7, 8), tuple(range(50, 90)), (7, 8, 9)]
    expected = network.score(last(*texts))
    embedding = network.model.get_input_embeddings()
    assert isinstance(embedding, torch.nn.Embedding)
    with torch.no_grad():
        embedding.weight[45] = spot
    scores = torch.tensor(network.score(last(*texts)))
    assert scores.isfinite().flatten().tolist() == [True, False, True, True]
    torch.testing.assert_close(scores[[0, 2, 3]], torch.tensor(expected)[[0, 2, 3]])


class OnFlexAttention(RewardNetwork):
    """Scores as on CUDA, with FlexAttention uncompiled."""

    def prepare(self, batch: list[Sequence]) -> Tree:
        self.model.set_attn_implementation("flex_tree")
        return Tree.of(bucketed(pack(batch)), self.model.device)


def attend(
    _module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    _mask: None,
    *,
    tree: Tree,
    **_: object,
) -> tuple[torch.Tensor, None]:
    output = attend_flex(query, key, value, tree, AttentionParams(None, None, None))
    return output.transpose(1, 2).contiguous(), None


AttentionInterface.register("flex_tree", attend)


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
def test_nan_in_one_text_never_reaches_another_on_the_gpu_s_kernel(tmp_path: Path) -> None:
    # Layers of GPT-2 are not fused, so their attention goes through the interface.
    checkpoint = make_checkpoint(tmp_path / "model", "gpt2")
    network = OnFlexAttention.load(open_release(checkpoint), device="cpu")
    texts = [tuple(range(7, 30)), (*range(40, 50), 7), (*range(7, 20), 45, 8), tuple(range(50, 90))]
    texts += [(*range(7, 20), 9, 8), (7, 45), (8,)]
    expected = network.score(last(*texts))
    embedding = network.model.get_input_embeddings()
    assert isinstance(embedding, torch.nn.Embedding)
    with torch.no_grad():
        embedding.weight[45] = torch.nan
    scores = network.score(last(*texts))
    for text, (score,), (before,) in zip(texts, scores, expected, strict=True):
        if 45 in text:
            assert math.isnan(score)
        else:
            assert score == pytest.approx(before, abs=1e-5)


def test_scores_are_those_of_transformers(checkpoint: Path, network: RewardNetwork) -> None:
    model = AutoModelForSequenceClassification.from_pretrained(checkpoint)
    texts = [tuple(range(7, 7 + n)) for n in (1, 5, 200)] + [(*range(7, 100), 20)]
    with torch.inference_mode():
        plain = [float(model(input_ids=torch.tensor([text])).logits[0, 0]) for text in texts]
    assert [s for (s,) in network.score(last(*texts))] == pytest.approx(plain, abs=1e-4)


def test_every_read_position_is_the_score_of_the_prefix(network: RewardNetwork) -> None:
    text = tuple(range(7, 40))
    (scores,) = network.score([Sequence(text, (3, 17, 32))])
    prefixes = network.score(last(text[:4], text[:18], text))
    assert scores == pytest.approx([score for (score,) in prefixes], abs=1e-5)


def test_batches_of_nearly_the_same_size_are_computed_at_one_size(network: RewardNetwork) -> None:
    assert network.fuses_layers, "this torch has oneDNN"
    for tokens in (1, 15, 17, 130):
        prepared = network.prepare(last(tuple(range(tokens))))
        assert isinstance(prepared, Tree)
        assert len(prepared.packed.ids) == padded_rows(tokens)


def test_an_unpacked_architecture_falls_back_and_says_so(tmp_path: Path) -> None:
    checkpoint = make_checkpoint(tmp_path, "opt", word_embed_proj_dim=32, ffn_dim=64)
    network = RewardNetwork.load(open_release(checkpoint), device="cpu")
    model = AutoModelForSequenceClassification.from_pretrained(checkpoint)
    text = tuple(range(7, 47))
    assert not network.shares_prefixes
    assert "opt" in str(network.fallback_reason)
    with torch.inference_mode():
        plain = float(model(input_ids=torch.tensor([text])).logits[0, 0])
    assert network.score(last(text, text[:9]))[0] == pytest.approx([plain], abs=1e-5)


def test_a_wrong_packed_forward_is_found_out(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reward_model.network.packed_hidden", _zeros)
    network = RewardNetwork.load(open_release(checkpoint), device="cpu")
    assert "self-check" in str(network.fallback_reason)


def _zeros(model: torch.nn.Module, tree: object) -> torch.Tensor:
    del model, tree
    return torch.zeros(4096, 32)


def test_a_packed_forward_that_fails_falls_back_and_says_so(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = RewardNetwork.load(open_release(checkpoint), device="cpu").score(last((7, 8, 9)))
    monkeypatch.setattr("reward_model.network.packed_hidden", _no_kernel)
    network = RewardNetwork.load(open_release(checkpoint), device="cpu")
    assert "NotImplementedError" in str(network.fallback_reason)
    assert network.score(last((7, 8, 9)))[0] == pytest.approx(usual[0], abs=1e-5)


def _no_kernel(model: torch.nn.Module, tree: object) -> torch.Tensor:
    raise NotImplementedError


def test_bfloat16_is_for_the_weights_of_the_backbone_alone(checkpoint: Path) -> None:
    network = RewardNetwork.load(open_release(checkpoint), device="cpu", dtype="bfloat16")
    assert network.shares_prefixes
    assert {p.dtype for p in network.model.base_model.parameters()} == {torch.bfloat16}
    assert {b.dtype for b in network.model.base_model.buffers()} == {torch.float32}
    exact = RewardNetwork.load(open_release(checkpoint), device="cpu")
    assert torch.equal(network.model.score.weight, exact.model.score.weight)


def test_bfloat16_scores_of_long_texts_are_those_of_transformers(checkpoint: Path) -> None:
    """Rotary frequencies in bfloat16 would be far off at the end of these."""
    network = RewardNetwork.load(open_release(checkpoint), device="cpu", dtype="bfloat16")
    model = AutoModelForSequenceClassification.from_pretrained(checkpoint, dtype=torch.bfloat16)
    head = AutoModelForSequenceClassification.from_pretrained(checkpoint).score
    texts = [tuple(7 + (i * k) % 300 for i in range(500)) for k in (1, 3, 7)]
    with torch.inference_mode():
        hidden = [model.base_model(input_ids=torch.tensor([t]))[0][0, -1] for t in texts]
        plain = [float(head(h.float())) for h in hidden]
    assert [s for (s,) in network.score(last(*texts))] == pytest.approx(plain, abs=2e-2)
