"""Rerank as Cohere, Jina and vLLM have it, around a fake engine."""

import math

import pytest

from reward_model.packing import Sequence
from tests.service.fakes import CALIBRATION, MAX_TOKENS, FakeEngine, running

SECRET = "my secret text"
# Scores of the fake engine, which counts tokens: 7, 9, 8 and 7.
BODY = {"query": "prompt", "documents": ["a", "ccc", {"text": "bb"}, "d"]}
PATHS = ["/v1/rerank", "/v2/rerank", "/rerank"]


def sigmoid(x: float) -> object:
    return pytest.approx(1 / (1 + math.exp(-x)), rel=1e-12)


async def test_the_whole_answer_of_v2() -> None:
    async with running() as app:
        answer = await app.client.post("/v2/rerank", json=BODY | {"model": "fake-rm", "top_n": 3})
    assert answer.status_code == 200
    body = answer.json()
    assert body.pop("id") == f"rerank-{answer.headers['x-request-id']}"
    assert body == {
        "model": "fake-rm",
        "results": [
            {"index": 1, "relevance_score": sigmoid(CALIBRATION.apply(9.0))},
            {"index": 2, "relevance_score": sigmoid(CALIBRATION.apply(8.0))},
            {"index": 0, "relevance_score": sigmoid(CALIBRATION.apply(7.0))},
        ],
        "meta": {"api_version": {"version": "2"}},
        "usage": {"total_tokens": 31, "prompt_tokens": 31},
    }
    assert "total;dur=" in answer.headers["server-timing"]


@pytest.mark.parametrize("path", ["/v1/rerank", "/rerank"])
async def test_v1_gives_documents_back_unless_told_not_to(path: str) -> None:
    async with running() as app:
        given = (await app.client.post(path, json=BODY)).json()
        kept = (await app.client.post(path, json=BODY | {"return_documents": False})).json()
        v2 = await app.client.post("/v2/rerank", json=BODY | {"return_documents": True})
    assert [one["document"] for one in given["results"]] == [
        {"text": "ccc"}, {"text": "bb"}, {"text": "a"}, {"text": "d"},
    ]  # fmt: skip
    assert given["meta"] == {"api_version": {"version": "1"}}
    assert not any("document" in one for one in kept["results"])
    assert v2.json()["results"] == given["results"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("raw", [{"raw_scores": True}, {"use_activation": False}])
async def test_raw_scores_where_they_are_asked_for(path: str, raw: dict[str, bool]) -> None:
    async with running() as app:
        answer = await app.client.post(path, json=BODY | raw)
    ranked = [(one["index"], one["relevance_score"]) for one in answer.json()["results"]]
    assert ranked == [(1, 9.0), (2, 8.0), (0, 7.0), (3, 7.0)]


async def test_the_order_is_that_of_raw_scores_where_sigmoids_are_equal() -> None:
    class Steep(FakeEngine):
        def score(self, batch: list[Sequence]) -> list[list[float]]:
            return [[1000.0 * value for value in row] for row in super().score(batch)]

    async with running(Steep()) as app:
        answer = await app.client.post("/v2/rerank", json=BODY)
    ranked = [(one["index"], one["relevance_score"]) for one in answer.json()["results"]]
    assert ranked == [(1, 1.0), (2, 1.0), (0, 1.0), (3, 1.0)]


async def test_what_reads_like_a_conversation_is_the_native_route_s() -> None:
    """The query is the user's, a document the assistant's, and other fields are let pass."""
    engine = FakeEngine()
    more: dict[str, object] = {"max_tokens_per_doc": 4096, "priority": 0, "top_n": 0}
    more |= {"truncate_prompt_tokens": None}
    more |= {"truncation": False, "return_embeddings": False, "user": "u", "unheard_of": [1]}
    async with running(engine, result_cache_bytes=0) as app:
        await app.client.post("/v2/rerank", json=BODY | more)
        await app.score("prompt", "a", "ccc", "bb", "d")
    first, second = engine.batches
    assert first == second


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("body", "field"),
    [
        ([], "the body must be a JSON object"),
        ({"documents": [SECRET]}, "query"),
        ({"query": SECRET}, "documents"),
        ({"query": SECRET, "documents": []}, "documents"),
        ({"query": SECRET, "documents": SECRET}, "documents"),
        ({"query": SECRET, "documents": [SECRET, 1]}, "documents[1]"),
        ({"query": SECRET, "documents": [SECRET, {"title": SECRET}]}, "documents[1].text"),
        ({"query": SECRET, "documents": [SECRET], "top_n": -1}, "top_n"),
        ({"query": SECRET, "documents": [SECRET], "top_n": "2"}, "top_n"),
        ({"query": SECRET, "documents": [SECRET], "rank_fields": [SECRET]}, "rank_fields[0]"),
        ({"query": SECRET, "documents": [SECRET], "rank_fields": [1] * 150_000}, "rank_fields[0]"),
        ({"query": SECRET, "documents": [1] * 150_000}, "documents"),
        ({"query": SECRET, "documents": [SECRET] * 11}, "documents has 11"),
        ({"query": SECRET, "documents": [SECRET, ""]}, "item 1 (empty)"),
        ({"query": SECRET, "documents": [SECRET, "x" * MAX_TOKENS]}, "item 1 (too_long)"),
    ],
)
async def test_a_wrong_request_is_told_what_and_never_what_was_in_it(
    path: str, body: object, field: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    async with running(max_candidates=10) as app:
        answer = await app.client.post(path, json=body)
        unharmed = await app.client.post(path, json=BODY)
    assert answer.status_code == 422
    error = answer.json()
    assert error["message"].startswith(field)
    assert "more)" not in error["message"], "faults are not collected without end"
    assert path == "/rerank" or error.keys() == {"message"}
    assert SECRET not in answer.text + caplog.text
    assert unharmed.status_code == 200


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("truncate_prompt_tokens", 5),
        ("truncation", True),
        ("truncation_side", "right"),
        ("max_tokens_per_doc", 8),
        ("max_tokens_per_query", 8),
        ("max_chunks_per_doc", 10),
        ("max_doc_length", 1024),
        ("relevant_spans", {"max": 1}),
        ("return_embeddings", True),
        ("mm_processor_kwargs", {"fps": 1}),
        ("padding", "max_length"),
        ("instruct", SECRET),
        ("cache_salt", SECRET),
        ("label_token_ids", [1, 2]),
    ],
)
async def test_what_cannot_be_done_is_refused_and_not_ignored(
    path: str, field: str, value: object
) -> None:
    async with running() as app:
        answer = await app.client.post(path, json=BODY | {field: value})
    assert answer.status_code == 422
    assert field in answer.json()["message"]
    assert SECRET not in answer.text


async def test_an_empty_query_is_a_turn() -> None:
    async with running() as app:
        answers = [await app.client.post(path, json=BODY | {"query": ""}) for path in PATHS]
        bulk = await app.client.post("/v2/rerank", json=BODY | {"priority": 2})
    assert [answer.status_code for answer in (*answers, bulk)] == [200] * 4


async def test_other_errors_have_the_same_shape() -> None:
    async with running() as app:
        unknown = await app.client.post("/v2/rerank", json=BODY | {"model": "rerank-v3.5"})
        broken = await app.client.post(
            "/v1/rerank", content=b"{", headers={"Content-Type": "application/json"}
        )
        method = await app.client.get("/v2/rerank")
        app.service.begin_drain()
        draining = await app.client.post("/v2/rerank", json=BODY)
    answers = [unknown, broken, method, draining]
    assert [answer.status_code for answer in answers] == [404, 400, 405, 503]
    assert all(answer.json().keys() == {"message"} for answer in answers)
    assert "fake-rm" in unknown.json()["message"]
    assert int(draining.headers["retry-after"]) >= 1


async def test_a_dialect_that_is_left_out_is_not_there() -> None:
    async with running(dialects="native") as app:
        answers = [await app.client.post(path, json=BODY) for path in PATHS]
    assert [answer.status_code for answer in answers] == [404] * 3
