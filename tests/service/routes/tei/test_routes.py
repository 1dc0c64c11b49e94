"""text-embeddings-inference's `/rerank` and `/predict`, around a fake engine."""

import asyncio
import math

import pytest

from reward_model.packing import Sequence
from tests.service.fakes import CALIBRATION, MAX_TOKENS, FakeEngine, GatedEngine, running

SECRET = "my secret text"
BODY = {"query": "prompt", "texts": ["a", "ccc", "bb", "d"]}


def predicted(raw: float) -> dict[str, object]:
    score = 1 / (1 + math.exp(-CALIBRATION.apply(raw)))
    return {"score": pytest.approx(score, rel=1e-12), "label": "LABEL_0"}


async def test_rerank_answers_with_a_bare_list_best_first() -> None:
    async with running() as app:
        plain = await app.client.post("/rerank", json=BODY)
        raw = await app.client.post("/rerank", json=BODY | {"raw_scores": True})
        texts = await app.client.post("/rerank", json=BODY | {"return_text": True})
    assert raw.json() == [
        {"index": 1, "score": 9.0},
        {"index": 2, "score": 8.0},
        {"index": 0, "score": 7.0},
        {"index": 3, "score": 7.0},
    ]
    assert plain.json()[0] == {"index": 1, "score": predicted(9.0)["score"]}
    assert [one["text"] for one in texts.json()] == ["ccc", "bb", "a", "d"]


@pytest.mark.parametrize(
    ("inputs", "answer"),
    [
        ("abc", [predicted(3)]),
        (["abc"], [predicted(3)]),
        (["abc", "de"], [predicted(5)]),
        ([["abc"]], [[predicted(3)]]),
        ([["abc"], ["abc", "de"]], [[predicted(3)], [predicted(5)]]),
    ],
)
async def test_predict_takes_texts_and_pairs_and_lists_of_them(
    inputs: object, answer: object
) -> None:
    async with running() as app:
        response = await app.client.post("/predict", json={"inputs": inputs})
    assert response.json() == answer


async def test_predict_gives_raw_scores_where_they_are_asked_for() -> None:
    async with running() as app:
        response = await app.client.post("/predict", json={"inputs": "abc", "raw_scores": True})
    assert response.json() == [{"score": 3.0, "label": "LABEL_0"}]


async def test_the_query_is_cut_where_that_is_asked_for_and_a_text_never() -> None:
    long = {"query": "b" * MAX_TOKENS, "texts": ["answer"], "raw_scores": True}
    async with running() as app:
        refused = await app.client.post("/rerank", json=long)
        cut = await app.client.post("/rerank", json=long | {"truncate": True})
        hopeless = await app.client.post(
            "/rerank", json={"query": "b", "texts": ["x" * (MAX_TOKENS + 1)], "truncate": True}
        )
    assert refused.status_code == hopeless.status_code == 422
    assert cut.json() == [{"index": 0, "score": float(MAX_TOKENS)}]


async def test_an_empty_query_and_an_unused_direction_are_no_fault() -> None:
    body = BODY | {"query": "", "truncation_direction": "Right"}
    async with running() as app:
        answer = await app.client.post("/rerank", json=body)
        pair = await app.client.post("/predict", json={"inputs": ["", "abc"]})
    assert (answer.status_code, pair.status_code) == (200, 200)


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/rerank", {"texts": [SECRET]}, "query"),
        ("/rerank", {"query": SECRET, "texts": []}, "texts"),
        ("/rerank", {"query": SECRET, "texts": SECRET}, "texts"),
        ("/rerank", {"query": SECRET, "texts": [SECRET, {"text": SECRET}]}, "texts[1]"),
        ("/rerank", {"query": SECRET, "texts": ["a", ""]}, "item 1 (empty)"),
        ("/predict", [], "the body must be a JSON object"),
        ("/predict", {}, "inputs"),
        ("/predict", {"inputs": ""}, "item 0 (empty)"),
        ("/predict", {"inputs": SECRET, "prompt_name": SECRET}, "prompt_name must be left out"),
        (
            "/predict",
            {"inputs": SECRET, "truncate": True, "truncation_direction": "Left"},
            "the body has a truncation_direction",
        ),
        ("/predict", {"inputs": []}, "inputs"),
        ("/predict", {"inputs": 7}, "inputs"),
        ("/predict", {"inputs": [SECRET] * 3}, "inputs is a text or a pair"),
        ("/predict", {"inputs": [[SECRET], []]}, "inputs[1]"),
        ("/predict", {"inputs": [[SECRET], [SECRET] * 3]}, "inputs[1] is a text or a pair"),
        ("/predict", {"inputs": [[SECRET], SECRET]}, "inputs[1]"),
        ("/predict", {"inputs": [SECRET, [SECRET]]}, "inputs[1]"),
        ("/predict", {"inputs": [[SECRET]] * 11}, "inputs has 11"),
    ],
)
async def test_a_wrong_request_is_told_what_in_tei_s_shape(
    path: str, body: object, field: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    async with running(max_candidates=10) as app:
        answer = await app.client.post(path, json=body)
    assert answer.status_code == 422
    error = answer.json()
    assert error["error"].startswith(field)
    assert error["error_type"] == "Validation"
    assert SECRET not in answer.text + caplog.text


async def test_overload_and_its_end_have_their_own_types() -> None:
    engine = GatedEngine()
    async with running(engine, max_queue_items=1) as app:
        first = asyncio.create_task(app.score("prompt", "a"))
        await engine.begins()
        full = await app.client.post("/rerank", json=BODY)
        engine.go_on.release()
        await first
        app.service.begin_drain()
        draining = await app.client.post("/predict", json={"inputs": "abc"})
    assert (full.status_code, full.json()["error_type"]) == (503, "Overloaded")
    assert (draining.status_code, draining.json()["error_type"]) == (503, "Unhealthy")


async def test_a_fault_of_the_engine_is_the_backend_s() -> None:
    class Broken(FakeEngine):
        def score(self, batch: list[Sequence]) -> list[list[float]]:
            if batch:
                raise RuntimeError("internals")
            return []

    async with running(Broken()) as app:
        answer = await app.client.post("/predict", json={"inputs": "abc"})
    assert (answer.status_code, answer.json()["error_type"]) == (500, "Backend")
    assert "internals" not in answer.text
