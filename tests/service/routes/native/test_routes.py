"""`POST /v1/score` over HTTP, around a fake engine."""

import asyncio
import math
from dataclasses import replace

import pytest

from reward_model.packing import Sequence
from service.routes.native.shapes import EXAMPLE
from tests.service.fakes import CALIBRATION, MAX_TOKENS, FakeEngine, GatedEngine, raw_score, running


async def test_the_whole_answer() -> None:
    async with running() as app:
        answer = await app.score("prompt", "a", "long one", "x" * MAX_TOKENS, "b")
    assert answer.status_code == 200
    body = answer.json()
    assert body.pop("id") == f"score-{answer.headers['x-request-id']}"
    too_long = body["results"][0]["scores"][2]["error"]
    assert too_long.pop("message").startswith("the conversation has 70 tokens")
    assert body == {
        "model": "fake-rm",
        "version": "1.2",
        "score_type": "raw_logit",
        "results": [
            {
                "scores": [
                    _scored(0, 7.0),
                    _scored(1, 14.0),
                    {
                        "index": 2,
                        "score": None,
                        "normalized": None,
                        "tokens": 70,
                        "truncated": False,
                        "tokens_dropped": 0,
                        "steps": None,
                        "parts": None,
                        "error": {"code": "too_long"},
                    },
                    _scored(3, 7.0),
                ],
                "ranking": [1, 0, 3],
                "best": 1,
            }
        ],
        "usage": {"tokens": 98, "computed_tokens": 6 + 1 + 8 + 1},
    }


def _scored(index: int, score: float) -> dict[str, object]:
    return {
        "index": index,
        "score": score,
        "normalized": CALIBRATION.apply(score),
        "tokens": int(score),
        "truncated": False,
        "tokens_dropped": 0,
        "steps": None,
        "parts": None,
        "error": None,
    }


async def test_the_documented_example_works() -> None:
    class Roomy(FakeEngine):
        facts = replace(FakeEngine.facts, max_tokens=10_000)

    async with running(Roomy()) as app:
        answer = await app.client.post("/v1/score", json=EXAMPLE)
        documented = (await app.client.get("/openapi.json")).json()
    assert answer.status_code == 200
    assert len(answer.json()["results"]) == 2
    schema = documented["components"]["schemas"]["ScoreRequest"]
    assert schema["examples"] == [EXAMPLE]
    assert set(documented["paths"]["/v1/score"]["post"]["responses"]) == {
        "200", "400", "401", "404", "408", "413", "415", "422", "429", "500", "503", "504",
    }  # fmt: skip


async def test_prompt_is_short_for_one_user_message() -> None:
    engine = FakeEngine()
    entries = [
        {"prompt": "same", "candidates": ["x"]},
        {"messages": [{"role": "user", "content": "same"}], "candidates": ["x"]},
    ]
    async with running(engine) as app:
        answer = await app.client.post("/v1/score", json={"inputs": entries})
    (one, two), usage = engine.batches[0], answer.json()["usage"]
    assert one == two
    assert usage == {"tokens": 10, "computed_tokens": 5}


async def test_nothing_scored_means_no_best() -> None:
    async with running() as app:
        answer = await app.score("prompt", "x" * MAX_TOKENS)
    (result,) = answer.json()["results"]
    assert (result["ranking"], result["best"]) == ([], None)


async def test_a_prompt_is_cut_only_where_that_is_asked_for() -> None:
    prompt = "b" * MAX_TOKENS
    async with running() as app:
        refused = (await app.score(prompt, "answer")).json()
        cut = (await app.score(prompt, "answer", "a", over_length="truncate_prompt")).json()
    (error,) = refused["results"][0]["scores"]
    assert error["error"]["code"] == "too_long"
    first, second = cut["results"][0]["scores"]
    assert (first["truncated"], first["tokens_dropped"], first["tokens"]) == (True, 6, MAX_TOKENS)
    assert (second["truncated"], second["tokens_dropped"]) == (True, 1)


async def test_steps_are_scored_where_they_end() -> None:
    entry = {"prompt": "p", "candidates": ["ab \n\ncd\n", ["ab ", "cd"], "\n"]}
    body = {"inputs": [entry], "steps": {"delimiter": "\n"}}
    engine = FakeEngine()
    async with running(engine) as app:
        answer = await app.client.post("/v1/score", json=body)
        unasked = await app.client.post("/v1/score", json={"inputs": [entry]})
    one, same, none = answer.json()["results"][0]["scores"]
    assert one["steps"] == [{"end": 2, "score": 3.0}, {"end": 7, "score": 8.0}]
    assert same["steps"] == [{"end": 2, "score": 3.0}, {"end": 6, "score": 7.0}]
    assert (one["score"], same["score"], none["score"]) == (9.0, 7.0, 2.0)
    assert none["steps"] == []
    assert unasked.status_code == 422
    assert "does not ask for steps" in unasked.json()["error"]["message"]
    assert len(engine.batches) == 1, "all in one forward"


async def test_a_model_without_steps_says_so() -> None:
    class Whole(FakeEngine):
        facts = replace(FakeEngine.facts, reads_steps=False)

    async with running(Whole()) as app:
        answer = await app.score("p", "a", steps={})
    assert answer.status_code == 422
    assert answer.json()["error"]["param"] == "steps"


@pytest.mark.parametrize("seconds", ["0.05", "60"])
async def test_a_deadline_may_come_in_a_header(seconds: str) -> None:
    engine = GatedEngine()
    async with running(engine) as app:
        headers = {"X-Request-Timeout": seconds}
        body = {"inputs": [{"prompt": "p", "candidates": ["a"]}], "timeout_ms": 50}
        late = await app.client.post("/v1/score", json=body, headers=headers)
        wrong = [
            await app.client.post("/v1/score", json=body, headers={"X-Request-Timeout": given})
            for given in ("soon", "0", "-1", "inf", "nan")
        ]
        engine.go_on.release()
    assert late.json()["error"]["code"] == "deadline_exceeded"
    assert [answer.status_code for answer in wrong] == [422] * 5


async def test_server_timing_names_every_step() -> None:
    async with running() as app:
        answer = await app.score("prompt", "a")
    steps = [step.split(";dur=") for step in answer.headers["server-timing"].split(", ")]
    assert [name for name, _ in steps] == ["admit", "encode", "queue", "infer", "total"]
    assert all(float(duration) >= 0 for _, duration in steps)


async def test_the_served_model_may_be_named_and_no_other() -> None:
    async with running() as app:
        named = await app.score("prompt", "a", model="fake-rm")
        other = await app.score("prompt", "a", model="gpt-2")
    assert named.status_code == 200
    assert other.status_code == 404
    error = other.json()["error"]
    assert (error["code"], error["param"]) == ("model_not_found", "model")
    assert "fake-rm" in error["message"]


class BrokenEngine(FakeEngine):
    def score(self, batch: list[Sequence]) -> list[list[float]]:
        if any(bytes(sequence.ids).endswith(b"!") for sequence in batch):
            raise RuntimeError("internals")
        return [[math.inf if len(sequence.ids) == 7 else 1.0] for sequence in batch]


async def test_an_engine_fault_is_an_error_of_the_items_it_hit() -> None:
    async with running(BrokenEngine()) as app:
        fault = await app.score("prompt", "!")
        after = await app.score("prompt", "fine")
        metrics = (await app.client.get("/metrics")).text
    assert fault.status_code == after.status_code == 200
    (item,) = fault.json()["results"][0]["scores"]
    assert (item["score"], item["error"]["code"]) == (None, "engine_error")
    assert "internals" not in fault.text
    assert after.json()["results"][0]["best"] == 0
    assert 'reward_errors_total{code="engine_error"} 1.0' in metrics


async def test_a_score_that_is_no_number_is_an_error_of_its_item() -> None:
    async with running(BrokenEngine()) as app:
        answer = await app.score("prompt", "x", "fine")
        metrics = (await app.client.get("/metrics")).text
    bad, fine = answer.json()["results"][0]["scores"]
    assert (bad["score"], bad["error"]["code"]) == (None, "non_finite")
    assert (fine["score"], fine["error"]) == (1.0, None)
    assert answer.json()["results"][0]["ranking"] == [1]
    assert "reward_non_finite_scores_total 1.0" in metrics


async def test_a_full_queue_is_503_with_retry_after() -> None:
    engine = GatedEngine()
    async with running(engine, max_queue_items=1) as app:
        first = asyncio.create_task(app.score("prompt", "a"))
        await engine.begins()
        refused = await app.score("prompt", "b")
        bulk = asyncio.create_task(app.score("prompt", "c", priority="bulk"))
        engine.go_on.release(2)
        statuses = [(await first).status_code, (await bulk).status_code]
    assert refused.status_code == 503
    assert refused.json()["error"]["code"] == "queue_full"
    assert int(refused.headers["retry-after"]) >= 1
    assert statuses == [200, 200]


async def test_a_passed_deadline_is_504_and_runs_nothing() -> None:
    engine = GatedEngine()
    async with running(engine) as app:
        first = asyncio.create_task(app.score("prompt", "a"))
        await engine.begins()
        late = await app.score("prompt", "b", timeout_ms=1)
        engine.go_on.release()
        await first
    assert late.status_code == 504
    assert late.json()["error"]["code"] == "deadline_exceeded"
    assert len(engine.batches) == 1


async def test_the_work_of_a_client_that_left_is_skipped() -> None:
    engine = GatedEngine()
    body = b'{"inputs": [{"prompt": "gone", "candidates": ["b"]}]}'
    async with running(engine) as app:
        first = asyncio.create_task(app.score("prompt", "a"))
        await engine.begins()
        sent = await raw_score(
            app.app, {"type": "http.request", "body": body}, {"type": "http.disconnect"}
        )
        engine.go_on.release()
        await first
        metrics = (await app.client.get("/metrics")).text
    assert sent[0]["status"] == 499
    assert len(engine.batches) == 1
    assert '{dialect="native",outcome="client_gone",route="/v1/score"} 1.0' in metrics
