"""Criteria in every dialect: a vector where its answers have room, else the weighted sum."""

from base64 import b64decode
from collections.abc import AsyncIterator
from pathlib import Path
from struct import unpack

import httpx
import pytest

from reward_model.release.manifest import Criterion
from service.routes.shared.relevance import sigmoid
from service.scoring.model import open_model
from tests.checkpoints import make_checkpoint
from tests.releases import make_release
from tests.service.fakes import starting

WEIGHTS = {"correct": 1.0, "terse": -0.5}
PROMPT, ANSWERS = "Add two numbers.", ["return a + b", "pass"]
CHAT = [{"role": "user", "content": PROMPT}, {"role": "assistant", "content": ANSWERS[0]}]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A release of two criteria, and a checkpoint of two labels with the same names."""
    folder = tmp_path_factory.mktemp("models")
    criteria = {name: Criterion(prompt=f"Is it {name}?", weight=w) for name, w in WEIGHTS.items()}
    names = {0: "terse", 1: "correct"}
    return [
        make_release(folder / "rm", criteria=criteria),
        make_checkpoint(folder / "labels", labels=2, shape={"id2label": names}),
    ]


@pytest.fixture(params=["prompts", "labels"])
async def client(
    folders: list[Path], request: pytest.FixtureRequest
) -> AsyncIterator[httpx.AsyncClient]:
    path = folders[request.param == "labels"]
    async with starting(open_model, model=str(path), model_name="rm", device="cpu") as app:
        await app.service.started()
        assert app.service.unready is None, app.service.failure
        yield app.client


async def native(client: httpx.AsyncClient) -> tuple[list[float], list[list[float]]]:
    """The weighted sums of both answers, and their scores by each criterion."""
    body = {"inputs": [{"prompt": PROMPT, "candidates": ANSWERS}], "criteria": WEIGHTS}
    answer = (await client.post("/v1/score", json=body)).json()
    assert answer["score_type"] == "weighted_raw"
    scores = answer["results"][0]["scores"]
    parts = [[part["score"] for part in score["parts"].values()] for score in scores]
    return [score["score"] for score in scores], parts


async def test_dialects_with_vectors_have_a_number_for_each(client: httpx.AsyncClient) -> None:
    _, (expected, _) = await native(client)
    body: dict[str, object] = {"messages": CHAT, "criteria": WEIGHTS, "encoding_format": "float"}
    (row,) = (await client.post("/classify", json=body)).json()["data"]
    assert row["probs"] == pytest.approx(expected, abs=1e-5)
    assert row["num_classes"] == 2
    assert row["label"] == [*WEIGHTS][expected.index(max(expected))]
    (row,) = (await client.post("/pooling", json=body)).json()["data"]
    assert row["data"] == pytest.approx(expected, abs=1e-5)
    (row,) = (await client.post("/v1/embeddings", json=body)).json()["data"]
    assert row["embedding"] == pytest.approx(expected, abs=1e-5)
    packed = (await client.post("/pooling", json=body | {"encoding_format": "base64"})).json()
    assert unpack("<2f", b64decode(packed["data"][0]["data"])) == pytest.approx(expected, abs=1e-5)
    (row,) = (await client.post("/classify", json=body | {"use_activation": True})).json()["data"]
    assert row["probs"] == pytest.approx([sigmoid(one) for one in expected], abs=1e-5)
    body = {"inputs": [[PROMPT, ANSWERS[0]]], "criteria": WEIGHTS, "raw_scores": True}
    (row,) = (await client.post("/predict", json=body)).json()
    assert [one["score"] for one in row] == pytest.approx(sorted(expected, reverse=True), abs=1e-5)
    assert {one["label"] for one in row} == set(WEIGHTS)


async def test_dialects_without_vectors_have_the_weighted_sum(client: httpx.AsyncClient) -> None:
    sums, _ = await native(client)
    body = {"queries": PROMPT, "documents": ANSWERS, "criteria": WEIGHTS}
    rows = (await client.post("/score", json=body)).json()["data"]
    assert [row["score"] for row in rows] == pytest.approx(sums, abs=1e-5)
    ranked = {"query": PROMPT, "documents": ANSWERS, "criteria": WEIGHTS, "raw_scores": True}
    results = (await client.post("/v2/rerank", json=ranked)).json()["results"]
    found = {row["index"]: row["relevance_score"] for row in results}
    assert [found[0], found[1]] == pytest.approx(sums, abs=1e-5)
    results = (await client.post("/rerank", json=ranked | {"texts": ANSWERS})).json()
    found = {row["index"]: row["score"] for row in results}
    assert [found[0], found[1]] == pytest.approx(sums, abs=1e-5)
    sample = {"prompt": PROMPT, "response": ANSWERS[0]}
    answer = await client.post("/slime?criteria=correct=1,terse=-0.5", json=sample)
    assert answer.json() == pytest.approx(sums[0], abs=1e-5)


async def test_tensors_have_a_column_for_each(client: httpx.AsyncClient) -> None:
    sums, parts = await native(client)
    inputs = [
        {"name": name, "shape": [2], "datatype": "BYTES", "data": texts}
        for name, texts in (("prompt", [PROMPT] * 2), ("response", ANSWERS))
    ]
    body: dict[str, object] = {
        "inputs": inputs,
        "parameters": {"criteria": "correct=1, terse=-0.5"},
    }
    rewards, columns = (await client.post("/v2/models/rm/infer", json=body)).json()["outputs"]
    assert rewards["data"] == pytest.approx(sums, abs=1e-5)
    assert (columns["name"], columns["shape"]) == ("parts", [2, 2])
    assert columns["parameters"] == {"names": "correct,terse"}
    assert columns["data"] == pytest.approx([*parts[0], *parts[1]], abs=1e-5)
    outputs = [{"name": "parts", "parameters": {"binary_data": True}}]
    answer = await client.post("/v2/models/rm/infer", json=body | {"outputs": outputs})
    head = int(answer.headers["inference-header-content-length"])
    assert unpack("<4f", answer.content[head:]) == pytest.approx([*parts[0], *parts[1]], abs=1e-5)
    metadata = (await client.get("/v2/models/rm")).json()
    assert [output["name"] for output in metadata["outputs"]] == ["rewards", "parts"]
    config = (await client.get("/v2/models/rm/config")).json()
    assert [output["name"] for output in config["output"]] == ["rewards", "parts"]
    refused = await client.post(
        "/v2/models/rm/infer", json={"inputs": inputs, "outputs": [{"name": "parts"}]}
    )
    assert "asks for parts, and has no criteria" in refused.text


async def test_rendered_texts_take_labels_and_no_prompts(client: httpx.AsyncClient) -> None:
    labels = (await client.get("/v1/models")).json()["data"][0]["criteria"]["terse"]["kind"]
    for path, body in (
        ("/get_reward?criteria=terse=1,correct=2", {"query": ["a text", "b"]}),
        ("/v1/score/evaluation?criteria=terse=1,correct=2", {"messages": ["a text", "b"]}),
        ("/classify", {"input": "a text", "criteria": WEIGHTS}),
        ("/classify", {"text": "a text", "criteria": WEIGHTS}),
    ):
        answer = await client.post(path, json=body)
        if labels == "label":
            assert answer.status_code == 200, answer.text
        else:
            assert 400 <= answer.status_code < 500, answer.text
            assert "rendered or tokenized already" in answer.text
    wrong = await client.post("/get_reward?criteria=terse=much", json={"query": ["a"]})
    assert wrong.status_code == 422
    assert "no name=weight" in wrong.text


async def test_criteria_are_refused_where_a_dialect_does_not_read_them(
    client: httpx.AsyncClient,
) -> None:
    """In the body of the dialects that read the address, in the address of all others, twice."""
    infer = {"name": "prompt", "datatype": "BYTES", "shape": [1, 1], "data": ["x"]}
    sample = {"prompt": PROMPT, "response": ANSWERS[0]}
    asked = {"criteria": WEIGHTS}
    for path, body, said in (
        ("/slime", {**sample, **asked}, "address"),
        ("/get_reward", {"query": ["x"], **asked}, "address"),
        ("/v1/score/evaluation", {"model": "m", "messages": ["x"], **asked}, "address"),
        (
            "/v2/models/rm/infer",
            {"inputs": [infer, {**infer, "name": "response"}], **asked},
            "parameters",
        ),
        ("/classify?criteria=correct=1", {"messages": CHAT}, "body"),
        ("/v1/score?criteria=correct=1", {"inputs": []}, "body"),
        ("/rerank?criteria=correct=1", {"query": "x", "texts": ["y"]}, "body"),
        ("/slime?criteria=correct=1&criteria=terse=1", sample, "twice"),
        ("/slime?criteria=correct=1,correct=2", sample, "twice"),
        ("/slime?criteria=correct=1,terse", sample, "all of them one"),
    ):
        answer = await client.post(path, json=body)
        assert answer.status_code == 422, (path, answer.text)
        assert said in answer.text, path


async def test_a_weight_is_a_number(client: httpx.AsyncClient) -> None:
    inputs = [{"prompt": PROMPT, "candidates": ANSWERS}]
    for weight in (True, "1", None, [1], 1e7):
        body = {"inputs": inputs, "criteria": {"correct": weight}}
        assert (await client.post("/v1/score", json=body)).status_code == 422, weight
    body = {"inputs": inputs, "criteria": {"correct": 1, "terse": 0}}
    assert (await client.post("/v1/score", json=body)).status_code == 200
