"""Request ids, body limits, the last resort, and the one log line per request."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator

import pytest
from fastapi import FastAPI
from starlette.types import Message

from reward_model.packing import Sequence
from service.logs import JsonLines
from service.routes.shared.routing import ServiceOf
from tests.service.fakes import FakeEngine, GatedEngine, raw_score, running

JSON = {"Content-Type": "application/json"}


async def test_a_request_id_is_taken_and_given_back() -> None:
    async with running() as app:
        answer = await app.client.get("/healthz", headers={"X-Request-Id": "run-7/step~42"})
    assert answer.headers["x-request-id"] == "run-7/step~42"


@pytest.mark.parametrize("odd", [b"", b"x" * 129, b"two words", b"tab\tbed", b"caf\xe9"])
async def test_an_odd_request_id_is_replaced(odd: bytes) -> None:
    async with running() as app:
        answer = await app.client.get("/healthz", headers={b"X-Request-Id": odd})
    assert len(answer.headers["x-request-id"]) == 32


async def test_a_body_announced_as_too_large_is_dropped() -> None:
    async with running() as app:
        answer = await app.client.post("/v1/score", content=b"x" * 50_000_000, headers=JSON)
        unharmed = await app.score("prompt", "a")
    assert answer.status_code == 413
    error = answer.json()["error"]
    assert (error["code"], error["type"]) == ("body_too_large", "invalid_request_error")
    assert "16777216 bytes" in error["message"]
    assert answer.headers["x-request-id"]
    assert unharmed.status_code == 200


@pytest.mark.parametrize("path", ["/v1/score", "/classify", "/v2/models/fake-rm/infer", "/rerank"])
@pytest.mark.parametrize("encoding", ["gzip", "br", "identity, gzip", "nonsense"])
async def test_a_body_that_is_encoded_is_415_and_names_the_header(path: str, encoding: str) -> None:
    headers = JSON | {"Content-Encoding": encoding}
    async with running() as app:
        answer = await app.client.post(path, content=b"\x1f\x8b", headers=headers)
    assert answer.status_code == 415
    assert "Content-Encoding" in answer.text


async def test_an_encoding_that_changes_nothing_is_taken() -> None:
    body = b'{"inputs": [{"prompt": "p", "candidates": ["a"]}]}'
    headers = JSON | {"Content-Encoding": "Identity"}
    async with running() as app:
        answer = await app.client.post("/v1/score", content=body, headers=headers)
    assert answer.status_code == 200


async def test_a_body_that_grows_too_large_is_dropped_and_then_stopped() -> None:
    """Who is still sending would not see the answer; who never ends must not be listened to."""
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 1
            yield b"x" * 100

    async with running(max_body_bytes=1000) as app:
        answer = await app.client.post("/v1/score", content=endless(), headers=JSON)
    assert answer.status_code == 413
    assert sent == 81


async def test_a_body_that_stalls_is_not_awaited_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.http.request_body._BODY_SECONDS", 0.01)

    async def stalled() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    async with running() as app:
        answer = await app.client.post("/v1/score", content=stalled(), headers=JSON)
    assert (answer.status_code, answer.json()["error"]["code"]) == (408, "body_too_slow")


async def test_a_body_that_trickles_is_given_up_and_holds_nothing_else_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("service.http.request_body._BODY_SECONDS", 0.2)
    begun = asyncio.Event()

    async def trickling() -> AsyncIterator[bytes]:
        while True:
            begun.set()
            yield b" "
            await asyncio.sleep(0.001)

    async with running() as app:
        slow = asyncio.create_task(app.client.post("/v1/score", content=trickling(), headers=JSON))
        await begun.wait()
        meanwhile = await app.score("prompt", "a")
        assert not slow.done()
        answer = await slow
    assert meanwhile.status_code == 200
    assert (answer.status_code, answer.json()["error"]["code"]) == (408, "body_too_slow")
    assert answer.headers["connection"] == "close", "or it would go on trickling"


async def test_a_method_that_a_user_made_up_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    async with running() as app:
        answer = await app.client.request("SECRET", "/v1/score")
    assert answer.status_code == 405
    ours = [record for record in caplog.records if record.name.startswith("service")]
    assert ours
    assert "SECRET" not in "".join(JsonLines().format(record) for record in ours)


async def test_a_body_of_exactly_the_limit_passes() -> None:
    body = json.dumps({"inputs": [{"prompt": "p", "candidates": ["c"]}]}).encode()
    async with running(max_body_bytes=len(body)) as app:
        answer = await app.client.post("/v1/score", content=body, headers=JSON)
    assert answer.status_code == 200


@pytest.mark.parametrize("announced", ["-5", "many", "9" * 400])
async def test_an_odd_content_length_changes_nothing(announced: str) -> None:
    """A real server refuses most of these itself."""
    headers = JSON | {"Content-Length": announced}
    async with running() as app:
        answer = await app.client.post("/v1/score", content=b"{}", headers=headers)
    assert answer.status_code == (413 if announced.startswith("9") else 422)


def add_failing_route(app: FastAPI) -> None:
    @app.get("/fails")
    async def fails(service: ServiceOf) -> None:
        raise RuntimeError(f"quotes a user of {service.find(None).model.name}")


async def test_a_fault_of_ours_is_500_in_the_same_shape(caplog: pytest.LogCaptureFixture) -> None:
    async with running() as app:
        add_failing_route(app.app)
        answer = await app.client.get("/fails")
    assert answer.status_code == 500
    error = answer.json()["error"]
    assert (error["type"], error["code"]) == ("server_error", "internal_error")
    assert answer.headers["x-request-id"] in error["message"]
    lines = [JsonLines().format(record) for record in caplog.records]
    (line,) = [json.loads(line) for line in lines if '"message": "fault"' in line]
    assert line["request_id"] == answer.headers["x-request-id"]
    assert line["exception"] == "RuntimeError"
    assert line["frames"][-1].endswith(" fails")
    assert "quotes a user" not in "".join(lines)


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "not_found"),
        ("GET", "/v1/score", 405, "method_not_allowed"),
        ("POST", "/v1/models", 405, "method_not_allowed"),
    ],
)
async def test_wrong_paths_and_methods(method: str, path: str, status: int, code: str) -> None:
    async with running() as app:
        answer = await app.client.request(method, path)
    assert answer.status_code == status
    assert answer.json()["error"]["code"] == code
    assert ("allow" in answer.headers) == (status == 405)


async def test_one_line_per_request_tells_everything_but_the_text(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    async with running() as app:
        answer = await app.score("my secret", "secret too", "x" * 64, priority="bulk")
        await app.client.get("/healthz?q=secret")
        await app.client.get("/secret-path?q=secret")
    lines = [JsonLines().format(r) for r in caplog.records if r.name == "service.request"]
    score, stray = (json.loads(line) for line in lines)
    assert score["request_id"] == answer.headers["x-request-id"]
    expected = {
        "level": "info",
        "method": "POST",
        "route": "/v1/score",
        "dialect": "native",
        "status": 200,
        "outcome": "ok",
        "priority": "bulk",
        "inputs": 1,
        "items_ok": 1,
        "items_too_long": 1,
        "tokens": 19 + 73,
        "computed_tokens": 19,
        "body_bytes": len(answer.request.content),
    }
    assert expected.items() <= score.items()
    assert {"ms", "encode_ms", "queue_ms", "infer_ms", "total_ms"} <= score.keys()
    assert (stray["route"], stray["dialect"]) == ("unmatched", "none")
    assert stray["outcome"] == "not_found"
    ours = [JsonLines().format(r) for r in caplog.records if not r.name.startswith("httpx")]
    assert "secret" not in "".join(ours)


class Panic(BaseException):
    """Like `pyo3_runtime.PanicException`, which is no Exception."""


@pytest.mark.parametrize("fault", [Panic, BaseExceptionGroup("", [Panic()]), ZeroDivisionError])
async def test_every_fault_is_answered_and_recorded_as_one(
    fault: type[BaseException] | BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail() -> None:
        raise fault

    caplog.set_level("INFO")
    async with running() as app:
        app.app.add_api_route("/fails", fail)
        answer = await app.client.get("/fails", headers={"X-Request-Id": "mine"})
        metrics = (await app.client.get("/metrics")).text
    assert answer.status_code == 500
    assert answer.headers["x-request-id"] == "mine"
    assert answer.json()["error"]["code"] == "internal_error"
    (line,) = [record for record in caplog.records if record.getMessage() == "request"]
    facts = line.__dict__["facts"]
    assert (facts["status"], facts["outcome"]) == (500, "internal_error")
    assert 'reward_errors_total{code="internal_error"} 1.0' in metrics


async def test_an_engine_s_panic_costs_its_text_alone() -> None:
    class Panicking(FakeEngine):
        def score(self, batch: list[Sequence]) -> list[list[float]]:
            if any(bytes(sequence.ids).endswith(b"!") for sequence in batch):
                raise Panic
            return super().score(batch)

    async with running(Panicking()) as app:
        answer = await app.score("prompt", "a", "b!", "c")
        after = await app.score("prompt", "d")
    assert answer.json()["results"][0]["ranking"] == [0, 2]
    assert after.status_code == 200


async def test_a_request_that_the_server_ends_is_told_so() -> None:
    engine = GatedEngine()
    sent: list[Message] = []

    async def ask(app: FastAPI) -> None:
        body = b'{"inputs": [{"prompt": "p", "candidates": ["c"]}]}'
        await raw_score(app, {"type": "http.request", "body": body}, sent=sent)

    async with running(engine) as app:
        request = asyncio.create_task(ask(app.app))
        await engine.begins()
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
        engine.go_on.release()
    assert sent[0]["status"] == 503
    assert b'"draining"' in sent[1]["body"]


async def test_the_client_may_leave_in_the_middle_of_its_body() -> None:
    engine = FakeEngine()
    half: Message = {"type": "http.request", "body": b'{"inp', "more_body": True}
    async with running(engine) as app:
        await raw_score(app.app, half, {"type": "http.disconnect"})
        unharmed = await app.score("prompt", "a")
    assert unharmed.status_code == 200
    assert len(engine.batches) == 1
