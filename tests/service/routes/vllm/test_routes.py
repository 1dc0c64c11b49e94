"""vLLM's routes over HTTP, around a fake engine whose score is the number of tokens."""

import asyncio
import math
import time

import pytest

from reward_model.release.release import ReleaseError
from service.scoring.model import Model
from service.settings import Settings
from tests.service.fakes import MAX_TOKENS, FakeEngine, GatedEngine, running, starting

TURNS = [{"role": "user", "content": "abc"}, {"role": "assistant", "content": "de"}]
SECRET = "my secret text"


async def test_the_whole_answer_of_classify() -> None:
    body = {"model": "fake-rm", "input": ["abc", "abcd"], "use_activation": False}
    async with running() as app:
        answer = await app.client.post("/classify", json=body)
    assert answer.status_code == 200
    classified = answer.json()
    assert classified.pop("created") == pytest.approx(time.time(), abs=60)
    assert classified == {
        "id": f"classify-{answer.headers['x-request-id']}",
        "object": "list",
        "model": "fake-rm",
        "data": [
            {"index": 0, "label": "LABEL_0", "probs": [3.0], "num_classes": 1},
            {"index": 1, "label": "LABEL_0", "probs": [4.0], "num_classes": 1},
        ],
        "usage": {"prompt_tokens": 7, "total_tokens": 7, "completion_tokens": 0},
    }
    assert answer.headers["server-timing"].startswith("admit;dur=")


@pytest.mark.parametrize(
    ("body", "scores"),
    [
        ({"input": "abc"}, [3.0]),
        ({"input": ["abc", "abcd"]}, [3.0, 4.0]),
        ({"input": [97, 98]}, [2.0]),
        ({"input": [[97], [97, 98]]}, [1.0, 2.0]),
        ({"messages": TURNS}, [5.0]),
        ({"messages": TURNS, "add_special_tokens": False}, [5.0]),
        ({"input": "abc", "priority": 3, "user": "u", "unheard_of": [1]}, [3.0]),
        ({"input": "abc", "model": None, "use_activation": None}, [3.0]),
        ({"input": "abc", "truncate_prompt_tokens": 2}, [2.0]),
        ({"input": ["abc", "abcd" * MAX_TOKENS], "truncate_prompt_tokens": -1}, [3.0, MAX_TOKENS]),
        ({"input": list(range(97, 107)), "truncate_prompt_tokens": 4}, [4.0]),
    ],
)
async def test_what_may_be_asked(body: dict[str, object], scores: list[float]) -> None:
    async with running() as app:
        answer = await app.client.post("/classify", json=body)
    assert [row["probs"] for row in answer.json()["data"]] == [[score] for score in scores]


async def test_the_end_is_kept_when_a_text_is_cut() -> None:
    engine = FakeEngine()
    async with running(engine) as app:
        for item in ("abcdef", [97, 98, 99, 100, 101, 102]):
            body = {"input": item, "truncate_prompt_tokens": 2}
            await app.client.post("/classify", json=body)
    assert [sequence.ids for batch in engine.batches for sequence in batch] == [(101, 102)]


@pytest.mark.parametrize(
    ("switch", "squashed"),
    [
        ({}, False),
        ({"use_activation": True}, True),
        ({"use_activation": False}, False),
        ({"activation": True}, True),
        ({"activation": False}, False),
        ({"activation": True, "use_activation": False}, False),
    ],
)
@pytest.mark.parametrize("path", ["/classify", "/pooling", "/score", "/v1/embeddings"])
async def test_only_who_asks_for_an_activation_gets_it(
    path: str, switch: dict[str, object], squashed: bool
) -> None:
    asked = {"queries": "a", "documents": "bc"} if path == "/score" else {"input": "abc"}
    async with running() as app:
        (row,) = (await app.client.post(path, json=asked | switch)).json()["data"]
    score = row.get("score") or (row.get("probs") or row.get("data") or row.get("embedding"))[0]
    assert score == (pytest.approx(1 / (1 + math.exp(-3))) if squashed else 3.0)


async def test_the_whole_answer_of_pooling() -> None:
    async with running() as app:
        plain = await app.client.post("/pooling", json={"input": "abc"})
        packed = await app.client.post(
            "/pooling", json={"messages": TURNS, "encoding_format": "base64"}
        )
    assert plain.json()["data"] == [{"index": 0, "object": "pooling", "data": [3.0]}]
    assert packed.json()["data"] == [{"index": 0, "object": "pooling", "data": "AACgQA=="}]
    assert plain.json()["id"].startswith("pool-")
    assert plain.json()["usage"]["prompt_tokens"] == 3


@pytest.mark.parametrize("path", ["/score", "/v1/score"])
@pytest.mark.parametrize(
    ("body", "scores"),
    [
        ({"queries": "q", "documents": "d"}, [2.0]),
        ({"queries": "q", "documents": ["d", "dd"]}, [2.0, 3.0]),
        ({"queries": ["q"], "documents": ["d", "dd"]}, [2.0, 3.0]),
        ({"queries": ["q", "qqq"], "documents": ["d", "dd"]}, [2.0, 5.0]),
        ({"text_1": ["q", "qqq"], "text_2": ["d", "dd"]}, [2.0, 5.0]),
        ({"text_1": "q", "text_2": "d", "encoding_format": "float", "user": "u"}, [2.0]),
        ({"queries": "q", "items": ["d", "dd"]}, [2.0, 3.0]),
        ({"data_1": "q", "data_2": ["d", "dd"]}, [2.0, 3.0]),
        ({"queries": "", "documents": ["d"]}, [1.0]),
        ({"queries": "q", "documents": "d", "max_tokens_per_doc": 2, "instruction": "i"}, [2.0]),
    ],
)
async def test_pairs(path: str, body: dict[str, object], scores: list[float]) -> None:
    async with running() as app:
        answer = (await app.client.post(path, json=body | {"model": "fake-rm"})).json()
    assert answer["data"] == [
        {"index": index, "object": "score", "score": score} for index, score in enumerate(scores)
    ]
    assert (answer["object"], answer["model"]) == ("list", "fake-rm")
    assert answer["usage"]["total_tokens"] == sum(scores)


async def test_documents_of_one_query_are_computed_together() -> None:
    engine = FakeEngine()
    async with running(engine) as app:
        await app.client.post("/score", json={"queries": "q", "documents": ["d", "e", "f"]})
    assert len(engine.batches) == 1


async def test_tokenize() -> None:
    async with running() as app:
        text = await app.client.post("/tokenize", json={"model": "fake-rm", "prompt": "abc"})
        chat = await app.client.post("/tokenize", json={"messages": TURNS[:1]})
        long = await app.client.post("/tokenize", json={"prompt": "a" * (MAX_TOKENS + 1)})
    assert text.json() == {
        "count": 3,
        "max_model_len": MAX_TOKENS,
        "tokens": [97, 98, 99],
        "token_strs": None,
    }
    assert chat.json()["tokens"] == [97, 98, 99]
    assert long.status_code == 422
    assert "too_long" in long.json()["error"]["message"]


async def test_load_counts_the_requests_under_way() -> None:
    engine = GatedEngine()
    async with running(engine) as app:
        idle = (await app.client.get("/load")).json()
        asked = asyncio.create_task(app.client.post("/classify", json={"input": ["a", "b"]}))
        await engine.begins()
        busy = (await app.client.get("/load")).json()
        engine.go_on.release()
        await asked
    assert (idle, busy) == ({"server_load": 0}, {"server_load": 1})


async def test_what_orchestrators_ask() -> None:
    async with running() as app:
        probes = [await app.client.get("/health"), await app.client.get("/ping")]
        probes.append(await app.client.post("/ping"))
        version = await app.client.get("/version")
        served = await app.client.get("/v1/models")
    assert [(probe.status_code, probe.content) for probe in probes] == [(200, b"")] * 3
    assert list(version.json()) == ["version"]
    assert served.json()["data"][0]["id"] == "fake-rm"


async def test_health_is_readiness() -> None:
    def unfit(_: Settings) -> Model:
        raise ReleaseError("no such directory")

    async with starting(unfit) as app:
        await app.service.started()
        health = await app.client.get("/health")
        asked = await app.client.post("/classify", json={"input": "a"})
    for answer in (health, asked):
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) >= 1
        assert answer.json()["error"]["type"] == "ServiceUnavailableError"


async def test_errors_have_vllm_s_shape() -> None:
    async with running() as app:
        wrong = await app.client.post("/classify", json={"input": {SECRET: 1}})
        other = await app.client.post(
            "/score", json={"queries": "q", "documents": "d", "model": "x"}
        )
        long = await app.client.post("/pooling", json={"input": ["a", "b" * (MAX_TOKENS + 1)]})
        broken = await app.client.post("/classify", content=b"{", headers=JSON)
    assert wrong.json() == {
        "error": {
            "message": "input should be a valid string",
            "type": "BadRequestError",
            "param": "input",
            "code": 422,
        }
    }
    assert other.json()["error"] | {"message": ""} == {
        "message": "", "type": "NotFoundError", "param": "model", "code": 404,
    }  # fmt: skip
    assert long.status_code == 422
    assert long.json()["error"]["message"].startswith("item 1 (too_long): the conversation has 65")
    assert broken.json()["error"]["code"] == 400


JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("/classify", {}, None),
        ("/classify", [], None),
        ("/classify", {"input": []}, "input"),
        ("/classify", {"input": [SECRET, 1]}, "input[1]"),
        ("/classify", {"input": [1, SECRET]}, "input[1]"),
        ("/classify", {"input": [True]}, "input[0]"),
        ("/classify", {"input": [[1], [SECRET]]}, "input[1][0]"),
        ("/classify", {"input": [[1], []]}, "input[1]"),
        ("/classify", {"input": SECRET, "messages": TURNS}, None),
        ("/classify", {"messages": TURNS[:1]}, None),
        ("/classify", {"messages": TURNS, "add_special_tokens": True}, None),
        ("/classify", {"messages": TURNS, "truncate_prompt_tokens": 3}, None),
        ("/classify", {"messages": [{"role": 1, "content": "x"}]}, "messages[0].role"),
        ("/classify", {"messages": [{"role": "user", "content": [1]}]}, "messages[0].content"),
        ("/classify", {"messages": TURNS, "tools": [SECRET]}, "tools[0]"),
        ("/classify", {"messages": TURNS, "tools": {}}, "tools"),
        ("/classify", {"messages": TURNS, "chat_template_kwargs": []}, "chat_template_kwargs"),
        ("/classify", {"messages": TURNS, "documents": [SECRET]}, "documents[0]"),
        (
            "/classify",
            {"messages": TURNS, "chat_template_kwargs": {"tools": SECRET}},
            "chat_template_kwargs",
        ),
        ("/v1/score", {"query": SECRET, "items": [SECRET]}, "queries"),
        ("/classify", {"input": SECRET, "tools": [{}]}, None),
        ("/classify", {"input": SECRET, "chat_template_kwargs": {"a": 1}}, None),
        ("/classify", {"text": [SECRET, 1]}, "text[1]"),
        ("/classify", {"text": SECRET, "input_ids": [1]}, None),
        ("/classify", {"text": SECRET, "image_data": SECRET}, "image_data"),
        (
            "/v1/score",
            {"query": SECRET, "items": [SECRET], "label_token_ids": [1]},
            "label_token_ids",
        ),
        ("/classify", {"input": SECRET, "truncate_prompt_tokens": 0}, "truncate_prompt_tokens"),
        ("/classify", {"input": SECRET, "truncate_prompt_tokens": -2}, "truncate_prompt_tokens"),
        ("/classify", {"input": SECRET, "truncation_side": "right"}, "truncation_side"),
        ("/classify", {"input": SECRET, "use_activation": "no"}, "use_activation"),
        ("/classify", {"input": [SECRET] * 11}, "input"),
        ("/classify", {"input": [SECRET] * 16_385}, "input"),
        ("/classify", {"input": [1] * 300_000 + [SECRET]}, "input[300000]"),
        ("/pooling", {"input": SECRET, "encoding_format": SECRET}, "encoding_format"),
        ("/score", {"queries": SECRET}, "documents"),
        ("/score", {"text_2": SECRET}, "queries"),
        ("/score", {"text_1": SECRET, "text_2": [1]}, "text_2[0]"),
        ("/score", {"queries": [SECRET] * 2, "documents": [SECRET] * 3}, None),
        ("/score", {"queries": SECRET, "documents": SECRET, "truncate_prompt_tokens": 3}, None),
        ("/v1/score", {"text_1": SECRET}, "documents"),
        ("/v1/score", {"inputs": [], "queries": SECRET}, "queries"),
        ("/tokenize", {}, None),
        ("/tokenize", {"prompt": 1}, "prompt"),
        ("/tokenize", {"messages": TURNS, "add_special_tokens": True}, None),
    ],
)
async def test_a_wrong_request_is_told_which_field_and_never_what_was_in_it(
    path: str, body: object, param: str | None
) -> None:
    async with running(max_candidates=10) as app:
        answer = await app.client.post(path, json=body)
    assert answer.status_code == 422
    error = answer.json()["error"]
    assert error["param"] == param
    assert error["message"].startswith(param or "the body")
    assert SECRET not in answer.text


REFUSED = {
    "chat_template": "{{ messages }}",
    "continue_final_message": True,
    "truncation_side": "right",
    "padding": "max_length",
    "mm_processor_kwargs": {"fps": 1},
    "media_io_kwargs": {"video": {}},
    "cache_salt": SECRET,
    "lora_path": SECRET,
    "normalize": True,
    "dimensions": 2,
    "embed_dtype": "float16",
    "endianness": "big",
    "task": "embed",
}
HARMLESS = {
    "continue_final_message": False,
    "truncation_side": "left",
    "padding": "do_not_pad",
    "mm_processor_kwargs": {},
    "normalize": False,
    "dimensions": 1,
    "embed_dtype": "float32",
    "endianness": "little",
    "task": "classify",
}


@pytest.mark.parametrize("path", ["/classify", "/pooling", "/v1/embeddings"])
@pytest.mark.parametrize(("field", "value"), REFUSED.items(), ids=REFUSED)
async def test_what_vllm_reads_and_cannot_be_done_here_is_refused(
    path: str, field: str, value: object
) -> None:
    async with running() as app:
        answer = await app.client.post(path, json={"messages": TURNS, field: value})
    assert answer.status_code == 422
    assert answer.json()["error"]["param"] == field
    assert answer.json()["error"]["message"].startswith(f"{field} must be left out: ")


async def test_what_asks_for_nothing_is_no_fault() -> None:
    none = dict.fromkeys((*REFUSED, "tools", "documents", "priority"), None)
    async with running() as app:
        for fields in (HARMLESS, none):
            answer = await app.client.post("/classify", json={"messages": TURNS, **fields})
            assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(("item", "code"), [("", "empty"), ([256], "unencodable")])
async def test_an_item_that_has_no_score_is_the_whole_answer(item: object, code: str) -> None:
    async with running() as app:
        answer = await app.client.post("/classify", json={"input": item})
    assert answer.status_code == 422
    assert answer.json()["error"]["message"].startswith(f"item 0 ({code}): ")


async def test_priority_above_0_is_bulk() -> None:
    async with running() as app:
        await app.client.post("/classify", json={"input": "a", "priority": 1})
        bulk = app.service.metrics.render().decode()
    assert 'reward_items_total{outcome="ok"} 1.0' in bulk
