"""Every encoder scores a text in a batch as transformers scores it alone."""

import random
from functools import cache
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForSequenceClassification, PreTrainedModel

from reward_model import encoders
from reward_model.attention.whole_texts import FlatLayout
from reward_model.network import RewardNetwork
from reward_model.packing import Sequence
from reward_model.release.release import open_release
from tests.checkpoints import make_checkpoint

# DeBERTa of transformers 5.16 uses what a current torch deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script`:DeprecationWarning")

Ids = tuple[int, ...]
PAD = 1
LONGEST = 100
WINDOW = 8
_DISENTANGLED: dict[str, object] = {
    "relative_attention": True,
    "pos_att_type": ["p2c", "c2p"],
    "position_biased_input": False,
    "type_vocab_size": 0,
    "pooler_hidden_size": 32,
}
_LOCAL: dict[str, object] = {"local_attention": 2 * WINDOW, "global_attn_every_n_layers": 2}
_OFFSET: dict[str, object] = {"max_position_embeddings": LONGEST + PAD + 1}
FLAT: dict[str, dict[str, object]] = {
    "bert": {},
    "roberta": _OFFSET,
    "xlm-roberta": _OFFSET,
    "camembert": _OFFSET,
    "distilbert": {"dim": 32, "hidden_dim": 64, "n_heads": 4, "n_layers": 2},
    "electra": {"embedding_size": 16},
    "modernbert": _LOCAL,
    "modernbert with mean pooling": _LOCAL | {"classifier_pooling": "mean"},
}
BY_LENGTH: dict[str, dict[str, object]] = {
    "deberta": _DISENTANGLED,
    "deberta-v2": _DISENTANGLED,
    "deberta-v2 as version 3": _DISENTANGLED
    | {"share_att_key": True, "position_buckets": 16, "norm_rel_ebd": "layer_norm"},
}
ENCODERS = FLAT | BY_LENGTH


def text(length: int, seed: int = 0) -> Ids:
    return tuple(random.Random(seed).choices(range(7, 300), k=length))


BATCHES: dict[str, list[Ids]] = {
    "alone": [text(40)],
    "one token": [text(1)],
    "equal lengths": [text(30, seed) for seed in range(4)],
    "mixed lengths": [text(length, length) for length in (30, 5, 1, 17, 30, 2, 5)],
    "one twice": [text(20), text(9), text(20)],
    "a shared prefix": [text(20), text(20)[:12], (*text(20), 7)],
    "a pad inside": [(*text(10), PAD, *text(9)), (PAD, *text(19)), (*text(4), PAD, PAD), text(20)],
    "longest": [text(LONGEST), text(3), text(LONGEST, 1)],
}


@pytest.fixture(scope="module", params=ENCODERS)
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_encoder(tmp_path_factory.mktemp("model"), request.param)


def make_encoder(path: Path, name: str) -> Path:
    shape = {"max_position_embeddings": LONGEST, "pad_token_id": PAD} | ENCODERS[name]
    return make_checkpoint(path, name.split()[0], shape=shape)


@pytest.fixture(scope="module")
def network(checkpoint: Path) -> RewardNetwork:
    return RewardNetwork.load(open_release(checkpoint), device="cpu")


@pytest.fixture(scope="module")
def plain(checkpoint: Path) -> PreTrainedModel:
    model = AutoModelForSequenceClassification.from_pretrained(checkpoint)
    assert isinstance(model, PreTrainedModel)
    model.eval()
    return model


@cache
def plain_score(model: PreTrainedModel, ids: Ids) -> float:
    with torch.inference_mode():
        return float(model(input_ids=torch.tensor([ids])).logits[0, 0])


def scores(network: RewardNetwork, batch: list[Ids]) -> list[float]:
    return [score for (score,) in network.score([Sequence(ids, (len(ids) - 1,)) for ids in batch])]


@pytest.mark.parametrize("batch", BATCHES)
def test_scores_are_those_of_transformers(
    network: RewardNetwork, plain: PreTrainedModel, batch: str
) -> None:
    texts = BATCHES[batch]
    expected = [plain_score(plain, ids) for ids in texts]
    assert scores(network, texts) == pytest.approx(expected, abs=1e-4)


def test_an_encoder_shares_no_prefix_and_that_is_no_fallback(network: RewardNetwork) -> None:
    assert not network.shares_prefixes
    assert network.fallback_reason is None


def test_the_longest_text_is_as_long_as_the_model_has_positions(network: RewardNetwork) -> None:
    """RoBERTa and its relatives begin to count after the pad: 514 positions take 512 tokens."""
    assert network.max_tokens == LONGEST


def test_whatever_position_is_read_the_whole_text_is_scored(network: RewardNetwork) -> None:
    first, last = network.score([Sequence(text(9), (0,)), Sequence(text(9), (8,))])
    assert first == pytest.approx(last, abs=1e-6)


def test_several_positions_of_a_text_are_refused(network: RewardNetwork) -> None:
    with pytest.raises(ValueError, match="one score for a whole text"):
        network.score([Sequence(text(9), (3, 8))])


def test_bfloat16_is_for_the_layers_and_not_for_the_head(
    checkpoint: Path, plain: PreTrainedModel
) -> None:
    network = RewardNetwork.load(open_release(checkpoint), device="cpu", dtype="bfloat16")
    assert network.fallback_reason is None
    texts = BATCHES["mixed lengths"]
    expected = [plain_score(plain, ids) for ids in texts]
    assert scores(network, texts) == pytest.approx(expected, abs=0.1)
    assert {type(score) for score in scores(network, texts)} == {float}
    parts = dict(network.model.named_parameters())
    heads = {name for name in parts if "pooler" in name or "classifier" in name}
    assert {parts[name].dtype for name in heads} == {torch.float32}
    assert network.dtype == torch.bfloat16


@pytest.mark.parametrize("name", ["bert", "deberta-v2"])
def test_all_labels_of_a_head_with_several(tmp_path: Path, name: str) -> None:
    shape = {"max_position_embeddings": LONGEST, "pad_token_id": PAD} | ENCODERS[name]
    make_checkpoint(tmp_path, name, shape=shape, labels=3)
    network = RewardNetwork.load(open_release(tmp_path, several_labels=True), device="cpu")
    assert (network.labels, network.fallback_reason) == (3, None)
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    texts = BATCHES["mixed lengths"]
    with torch.inference_mode():
        plain = [model(input_ids=torch.tensor([ids])).logits[0].tolist() for ids in texts]
    found = network.score([Sequence(ids, (len(ids) - 1,)) for ids in texts])
    for row, expected in zip(found, plain, strict=True):
        assert row == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("forward", ["score_flat", "score_by_length", "score_alone"])
@pytest.mark.parametrize("name", ["bert", "electra", "deberta", "deberta-v2"])
def test_token_types_reach_the_model_by_every_forward(
    tmp_path: Path, name: str, forward: str
) -> None:
    entries = ENCODERS[name] | {"type_vocab_size": 2, "max_position_embeddings": LONGEST}
    make_checkpoint(tmp_path, name, shape={"pad_token_id": PAD} | entries)
    network = RewardNetwork.load(open_release(tmp_path), device="cpu")
    assert network.fallback_reason is None
    if forward == "score_flat" and name in BY_LENGTH:
        pytest.skip("its attention is its own")
    if forward != "score_flat":
        network.model.set_attn_implementation("eager")
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    batch = []
    for index, ids in enumerate(BATCHES["mixed lengths"] + BATCHES["a shared prefix"]):
        types = tuple(int(position > index) for position in range(len(ids)))
        batch.append(Sequence(ids, (len(ids) - 1,), types if index % 3 else ()))
    expected = []
    with torch.inference_mode():
        for each in batch:
            known = torch.tensor([each.token_types or (0,) * len(each.ids)])
            output = model(input_ids=torch.tensor([each.ids]), token_type_ids=known)
            expected.append(float(output.logits[0, 0]))
        found = [score for (score,) in getattr(encoders, forward)(network.model, batch)]
    assert found == pytest.approx(expected, abs=1e-4)
    untyped = [plain_score(model, each.ids) for each in batch]
    assert found != pytest.approx(untyped, abs=1e-3), "token types make a difference"


def test_a_wrong_flat_forward_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        FlatLayout, "first_tokens", lambda self, hidden: hidden[: len(self.lengths)]
    )
    network = RewardNetwork.load(open_release(make_encoder(tmp_path, "bert")), device="cpu")
    assert "the self-check found flat and plain scores" in str(network.fallback_reason)
    usual = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    texts = BATCHES["mixed lengths"]
    expected = [plain_score(usual, ids) for ids in texts]
    assert scores(network, texts) == pytest.approx(expected, abs=1e-4)


def test_when_no_batch_works_each_text_is_scored_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoders, "score_by_length", _fails)
    path = make_encoder(tmp_path, "deberta-v2")
    network = RewardNetwork.load(open_release(path), device="cpu")
    assert "NotImplementedError" in str(network.fallback_reason)
    usual = AutoModelForSequenceClassification.from_pretrained(path).eval()
    assert scores(network, [text(9)]) == pytest.approx([plain_score(usual, text(9))], abs=1e-4)


def _fails(model: PreTrainedModel, batch: list[Ids]) -> list[float]:
    raise NotImplementedError


def test_groups_of_one_length_are_cut_to_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoders, "_MAX_GROUP_TOKENS", 25)
    network = RewardNetwork.load(open_release(make_encoder(tmp_path, "deberta-v2")), device="cpu")
    texts = [text(10, seed) for seed in range(5)] + [text(60)]
    alone = [scores(network, [ids])[0] for ids in texts]
    assert scores(network, texts) == pytest.approx(alone, abs=1e-5)


def test_a_bert_that_is_a_causal_decoder_is_no_encoder(tmp_path: Path) -> None:
    path = make_checkpoint(tmp_path, "bert", is_decoder=True)
    network = RewardNetwork.load(open_release(path), device="cpu")
    assert "'bert' is not packed" in str(network.fallback_reason)
