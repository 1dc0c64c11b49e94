"""A cross-encoder's score over HTTP is that of its own library for `tokenizer(query, document)`."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from service.scoring.model import open_model
from tests.checkpoints import make_checkpoint, make_pair_tokenizer
from tests.service.fakes import Running, starting

# DeBERTa of transformers uses what a current torch deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script`:DeprecationWarning")

QUERY = "What is a function that returns nothing?"
DOCUMENTS = [
    "a function without return",
    "print is not the function",
    "x",
    "what is a function that returns nothing?",
    "the the the the " * 9,
]
PAIR = "[CLS]{{ messages[0].content }}[SEP]{{ messages[1].content }}[SEP]"
_DISENTANGLED = {
    "relative_attention": True,
    "pos_att_type": ["p2c", "c2p"],
    "position_biased_input": False,
    "pooler_hidden_size": 32,
    "type_vocab_size": 2,
}
# With the number of segments that each knows.
MODELS: dict[str, dict[str, object]] = {
    "bert": {"type_vocab_size": 2},
    "electra": {"embedding_size": 16, "type_vocab_size": 2},
    "deberta": _DISENTANGLED,
    "deberta-v2": _DISENTANGLED,
    "deberta-v2 without": _DISENTANGLED | {"type_vocab_size": 0},
    "albert": {"embedding_size": 16, "type_vocab_size": 2},
    "roberta": {"type_vocab_size": 1, "max_position_embeddings": 514},
    "modernbert": {"global_attn_every_n_layers": 2},
    "distilbert": {"dim": 32, "hidden_dim": 64, "n_heads": 4, "n_layers": 2},
}


def make_cross_encoder(path: Path, name: str = "bert") -> Path:
    """A checkpoint as cross-encoders are published: without a chat template."""
    token_types = MODELS[name].get("type_vocab_size") != 1 and name not in (
        "modernbert",
        "distilbert",
    )
    tokenizer = make_pair_tokenizer(token_types=token_types)
    shape = {"vocab_size": len(tokenizer), "pad_token_id": 0} | MODELS[name]
    make_checkpoint(path, name.split()[0], shape=shape)
    (path / "chat_template.jinja").unlink()
    tokenizer.save_pretrained(path)
    return path


def library_scores(path: Path, query: str, documents: list[str]) -> list[float]:
    """Each pair alone, with everything that the tokenizer returns."""
    tokenizer = AutoTokenizer.from_pretrained(path)
    model = AutoModelForSequenceClassification.from_pretrained(path).eval()
    with torch.inference_mode():
        pairs = [tokenizer(query, document, return_tensors="pt") for document in documents]
        return [float(model(**pair).logits[0, 0]) for pair in pairs]


async def by_every_dialect(
    app: Running, query: str, documents: list[str]
) -> dict[str, list[float]]:
    async def post(path: str, body: dict[str, object]) -> Any:
        answer = await app.client.post(path, json=body, timeout=60)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def in_order(rows: list[dict[str, float]], name: str) -> list[float]:
        return [row[name] for row in sorted(rows, key=lambda row: row["index"])]

    native = await post("/v1/score", {"inputs": [{"prompt": query, "candidates": documents}]})
    raw = {"query": query, "raw_scores": True}
    tei = await post("/rerank", raw | {"texts": documents})
    jina = await post("/rerank", raw | {"documents": documents})
    cohere = await post("/v2/rerank", raw | {"documents": documents})
    predict = await post(
        "/predict", {"inputs": [[query, d] for d in documents], "raw_scores": True}
    )
    vllm = await post("/score", {"queries": query, "documents": documents})
    turns = [{"role": "user", "content": query}, {"role": "assistant", "content": documents[0]}]
    classify = await post("/classify", {"messages": turns})
    return {
        "native": [score["score"] for score in native["results"][0]["scores"]],
        "tei": in_order(tei, "score"),
        "jina": in_order(jina["results"], "relevance_score"),
        "cohere": in_order(cohere["results"], "relevance_score"),
        "predict": [prediction[0]["score"] for prediction in predict],
        "vllm": in_order(vllm["data"], "score"),
        "classify": [classify["data"][0]["probs"][0]],
    }


@pytest.mark.parametrize("name", MODELS)
async def test_every_dialect_scores_the_tokenizers_own_pair(tmp_path: Path, name: str) -> None:
    path = make_cross_encoder(tmp_path / "model", name)
    expected = library_scores(path, QUERY, DOCUMENTS)
    async with starting(open_model, model=str(path)) as app:
        await app.service.started()
        assert app.service.unready is None
        scores = await by_every_dialect(app, QUERY, DOCUMENTS)
    for dialect, found in scores.items():
        assert found == pytest.approx(expected[: len(found)], abs=1e-4), dialect
    assert max(expected) - min(expected) > 1e-2, "a real spread of scores"


async def test_a_template_that_builds_the_pair_gives_the_pair(tmp_path: Path) -> None:
    path = make_cross_encoder(tmp_path / "model")
    (path / "chat_template.jinja").write_text(PAIR)
    expected = library_scores(path, QUERY, DOCUMENTS)
    async with starting(open_model, model=str(path)) as app:
        await app.service.started()
        scores = await by_every_dialect(app, QUERY, DOCUMENTS)
        (served,) = (await app.client.get("/v1/models")).json()["data"]
    assert scores["native"] == pytest.approx(expected, abs=1e-4)
    assert len(served["warnings"]) == 1, "that it is bare"


async def test_a_template_of_one_text_is_warned_of(tmp_path: Path) -> None:
    path = make_cross_encoder(tmp_path / "model")
    (path / "chat_template.jinja").write_text(
        "[CLS]{% for m in messages %}{{ m.content }} {% endfor %}"
    )
    tokenizer = AutoTokenizer.from_pretrained(path)
    model = AutoModelForSequenceClassification.from_pretrained(path).eval()
    text = tokenizer("[CLS]what is a function ", add_special_tokens=False, return_tensors="pt")
    with torch.inference_mode():
        expected = float(model(**text).logits[0, 0])
    async with starting(open_model, model=str(path)) as app:
        await app.service.started()
        answer = (await app.score("what is", "a function")).json()
        (served,) = (await app.client.get("/v1/models")).json()["data"]
    assert answer["results"][0]["scores"][0]["score"] == pytest.approx(expected, abs=1e-4)
    assert "token types are 0" in served["warnings"][1]


async def test_special_tokens_in_either_text_are_letters(tmp_path: Path) -> None:
    path = make_cross_encoder(tmp_path / "model")
    async with starting(open_model, model=str(path)) as app:
        await app.service.started()
        answer = await app.score("what [SEP] is", "fine [SEP] [CLS] a", "fine")
        turns = [
            {"role": "user", "content": "what [SEP] is"},
            {"role": "assistant", "content": "fine [SEP] [CLS] a"},
        ]
        ids = (await app.client.post("/tokenize", json={"messages": turns})).json()["tokens"]
    assert all(score["error"] is None for score in answer.json()["results"][0]["scores"])
    assert (ids.count(2), ids.count(3)) == (1, 2), "those of the tokenizer alone"


async def test_conversations_that_are_no_pair_are_that_items_error(tmp_path: Path) -> None:
    path = make_cross_encoder(tmp_path / "model")
    turns = [{"role": role, "content": "a"} for role in ("system", "user")]
    long = [{"role": role, "content": "a"} for role in ("user", "assistant", "user")]
    inputs = [
        {"messages": turns, "candidates": ["x"]},
        {"messages": long, "candidates": ["x"]},
        {"prompt": "a", "candidates": ["x", ""]},
    ]
    async with starting(open_model, model=str(path)) as app:
        await app.service.started()
        answer = (await app.client.post("/v1/score", json={"inputs": inputs})).json()
    system, several, pair = (result["scores"] for result in answer["results"])
    assert [system[0]["error"]["code"], several[0]["error"]["code"]] == ["unencodable"] * 2
    assert "one prompt and one answer" in system[0]["error"]["message"]
    assert pair[0]["score"] is not None


async def test_a_prompt_of_a_pair_is_cut_to_fit(tmp_path: Path) -> None:
    path = make_cross_encoder(tmp_path / "model")
    async with starting(open_model, model=str(path)) as app:
        await app.service.started()
        answer = await app.score("a " * 600, "x", over_length="truncate_prompt")
    (score,) = answer.json()["results"][0]["scores"]
    (expected,) = library_scores(path, "a " * 508, ["x"])
    assert (score["tokens"], score["tokens_dropped"]) == (512, 92)
    assert score["score"] == pytest.approx(expected, abs=1e-4)


async def test_equal_ids_of_other_segments_are_not_one_cached_score(tmp_path: Path) -> None:
    path = make_cross_encoder(tmp_path / "model")
    expected = library_scores(path, "a", ["b c"])
    async with starting(open_model, model=str(path)) as app:
        await app.service.started()
        body = {"input": "a [SEP] b c"}
        single = (await app.client.post("/classify", json=body)).json()
        pair = (await app.score("a", "b c")).json()
    assert pair["results"][0]["scores"][0]["score"] == pytest.approx(expected[0], abs=1e-4)
    assert single["data"][0]["probs"][0] != pytest.approx(expected[0], abs=1e-3)


async def test_without_a_template_and_a_pair_the_service_ends(tmp_path: Path) -> None:
    path = make_checkpoint(tmp_path / "bert", "bert")
    (path / "chat_template.jinja").unlink()
    decoder = make_checkpoint(tmp_path / "qwen2")
    (decoder / "chat_template.jinja").unlink()
    named = make_checkpoint(tmp_path / "named")
    (named / "chat_template.jinja").unlink()
    config = json.loads((named / "tokenizer_config.json").read_text())
    config["chat_template"] = [{"name": "rag", "template": "x"}]
    (named / "tokenizer_config.json").write_text(json.dumps(config))
    broken = make_checkpoint(tmp_path / "broken", template="{{ 1 // 0 }}")
    for folder in (path, decoder, named, broken):
        async with starting(open_model, model=str(folder)) as app:
            await app.service.started()
            assert "chat template" in str(app.service.refusal), folder.name
