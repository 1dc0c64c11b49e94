"""Who may come in: the real app, with a key file that changes and a clock that is told the time."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from starlette.types import Message, Scope

from service.app import create_app
from service.logs import JsonLines
from service.settings import Settings
from tests.service.auth.test_account import Clock
from tests.service.auth.test_key_file import line
from tests.service.fakes import FakeEngine, GatedEngine, Running, model, running
from tests.service.models.versions import Releases

KEY = "rmk-secret-of-team-a"
BODY = {"inputs": [{"prompt": "prompt", "candidates": ["a"]}]}
COST = 7
"""Tokens of BODY's only candidate with its prompt, computed."""

PROBES = [
    *("/healthz", "/readyz", "/metrics", "/health", "/ping", "/load"),
    *("/v2/health/live", "/v2/health/ready"),
    *("/v2/models/fake-rm/ready", "/v2/models/fake-rm/versions/1/ready"),
]


@asynccontextmanager
async def guarded(
    tmp_path: Path, *limits: str, engine: FakeEngine | None = None, **settings: object
) -> AsyncIterator[tuple[Running, Path, Clock]]:
    """An app that needs a key, its key file, and the clock of both."""
    keys, clock = tmp_path / "keys", Clock()
    keys.write_text(line("team-a", KEY, *limits))
    named = Settings.model_validate({"api_keys_file": keys, "result_cache_bytes": 0, **settings})
    app = create_app(named, lambda _: model(engine), clock=clock)
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://test", timeout=10) as client,
    ):
        await app.state.service.started()
        yield Running(app, client), keys, clock


async def ask(app: Running, key: str = KEY, **body: object) -> httpx.Response:
    headers = {"Authorization": f"Bearer {key}"}
    return await app.client.post("/v1/score", json=BODY | body, headers=headers)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": f"Bearer {KEY}"}, 200),
        ({"authorization": f"bearer  {KEY} "}, 200),
        ({"X-API-Key": KEY}, 200),
        ({"X-API-Key": "EMPTY", "Authorization": f"Bearer {KEY}"}, 200),
        ({"X-API-Key": KEY, "Authorization": "Bearer EMPTY"}, 200),
        ({"Authorization": KEY}, 401),
        ({"Authorization": f"Basic {KEY}"}, 401),
        ({"Authorization": "Bearer "}, 401),
        ({"Authorization": f"Bearer {KEY}x"}, 401),
        ({"X-API-Key": ""}, 401),
        ({"Cookie": f"key={KEY}"}, 401),
    ],
)
async def test_a_key_comes_in_one_of_two_headers(
    tmp_path: Path, headers: dict[str, str], status: int
) -> None:
    async with guarded(tmp_path) as (app, _, _):
        answer = await app.client.post("/v1/score", json=BODY, headers=headers)
    assert answer.status_code == status


async def test_without_a_key_the_answer_says_how_to_send_one(tmp_path: Path) -> None:
    async with guarded(tmp_path) as (app, _, _):
        answer = await ask(app, "rmk-wrong")
        metrics = (await app.client.get("/metrics")).text
    error = answer.json()["error"]
    assert (error["code"], error["type"]) == ("invalid_api_key", "invalid_request_error")
    assert "Authorization: Bearer" in error["message"]
    assert "rmk-wrong" not in answer.text
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.headers["x-request-id"]
    assert 'reward_errors_total{code="invalid_api_key"} 1.0' in metrics


@pytest.mark.parametrize("path", ["/v1/models", "/docs", "/openapi.json", "/no/such/path", "/"])
async def test_every_other_path_needs_a_key(tmp_path: Path, path: str) -> None:
    async with guarded(tmp_path) as (app, _, _):
        without = await app.client.get(path)
        known = await app.client.get(path, headers={"X-API-Key": KEY})
    assert without.status_code == 401
    assert known.status_code in (200, 404)


@pytest.mark.parametrize("path", PROBES)
async def test_probes_need_neither_key_nor_name_unless_they_bring_a_body(
    tmp_path: Path, path: str
) -> None:
    async with guarded(tmp_path, trusted_hosts="api.example.com") as (app, _, _):
        without = [await app.client.request(method, path) for method in ("GET", "HEAD")]
        app.client.headers["Host"] = "api.example.com"
        with_body = await app.client.request("GET", path, content=b"x" * 100)
        other_method = await app.client.post(path)
        near = [await app.client.get(path + end) for end in ("/x", "%0A")]
    assert not {answer.status_code for answer in without} & {400, 401}
    assert {answer.status_code for answer in (with_body, other_method, *near)} == {401}


async def test_keys_change_with_their_file_and_never_fail_open(tmp_path: Path) -> None:
    async def statuses() -> list[int]:
        clock.now += 1
        return [(await ask(app, key)).status_code for key in (KEY, "new", "")]

    async with guarded(tmp_path) as (app, keys, clock):
        before = await statuses()
        keys.write_text("nonsense")
        broken = await statuses()
        stale = (await app.client.get("/metrics")).text
        keys.write_text(line("team-a", "new"))
        after = await statuses()
        current = (await app.client.get("/metrics")).text
    assert before == broken == [200, 401, 401]
    assert after == [401, 200, 401]
    assert "reward_api_keys_stale 1.0" in stale
    assert "reward_api_keys_stale 0.0" in current


async def test_so_many_requests_at_a_time(tmp_path: Path) -> None:
    engine = GatedEngine()
    async with guarded(tmp_path, "concurrency=1", engine=engine) as (app, _, _):
        first = asyncio.create_task(ask(app))
        await engine.begins()
        refused = await ask(app)
        probe = await app.client.get("/readyz")
        engine.go_on.release(2)
        answers = [await first, await ask(app)]
    assert refused.status_code == 503
    assert refused.json()["error"]["code"] == "quota_exceeded"
    assert refused.headers["retry-after"] == "1"
    assert probe.status_code == 200
    assert [answer.status_code for answer in answers] == [200, 200]


async def test_so_many_tokens_a_minute(tmp_path: Path) -> None:
    """Charged with what was computed: the bucket is empty after ten requests, not after nine."""
    async with guarded(tmp_path, f"tokens_per_minute={COST * 10}") as (app, _, clock):
        answers = [await ask(app) for _ in range(11)]
        models = await app.client.get("/v1/models", headers={"X-API-Key": KEY})
        clock.now += int(answers[-1].headers["retry-after"])
        later = await ask(app)
        metrics = (await app.client.get("/metrics")).text
    assert [answer.status_code for answer in answers] == [200] * 10 + [503]
    assert answers[0].json()["usage"]["computed_tokens"] == COST
    assert answers[-1].json()["error"]["code"] == "quota_exceeded"
    assert answers[-1].headers["retry-after"] == "1"
    assert (models.status_code, later.status_code) == (200, 200)
    assert f'reward_key_tokens_total{{key="team-a"}} {COST * 11}.0' in metrics
    assert 'reward_key_requests_total{key="team-a"} 13.0' in metrics


def native(*candidates: str, prompt: str = "p", **more: object) -> dict[str, object]:
    return {"inputs": [{"prompt": prompt, "candidates": candidates}], **more}


def cost(refused: httpx.Response) -> int:
    """Tell what was taken of a bucket of one token, from how long it takes until it is refilled."""
    (seconds,) = re.findall(r"in (\d+) seconds", refused.json()["error"]["message"])
    return 1 + int(seconds) // 60


@pytest.mark.parametrize(
    ("path", "body", "tokens"),
    [
        # An answer that is too long is found out by encoding it, beside one that is scored.
        ("/v1/score", native("a", "b" * 200), 2 + 201),
        # A prompt is encoded whole before it is cut.
        ("/v1/score", native("a", prompt="p" * 300, over_length="truncate_prompt"), 301),
        # Also where that is in vain, because the answer alone is too long.
        ("/v1/score", native("a" * 70, prompt="p" * 300, over_length="truncate_prompt"), 370),
        # Nothing is encoded of what is empty or longer than any text that fits.
        ("/v1/score", native("a", "", "b" * 10_000), 2),
        ("/v1/score", native("a\nb", steps={"delimiter": "\n"}), 4),
        ("/get_reward", {"query": ["a", "b" * 200]}, 1 + 200),
        ("/tokenize", {"prompt": "b" * 60}, 60),
        ("/tokenize", {"prompt": "b" * 600}, 600),
    ],
)
async def test_what_is_encoded_is_charged_whatever_becomes_of_it(
    tmp_path: Path, path: str, body: dict[str, object], tokens: int
) -> None:
    async with guarded(tmp_path, "tokens_per_minute=1") as (app, _, _):
        await app.client.post(path, json=body, headers={"X-API-Key": KEY})
        assert cost(await ask(app)) == tokens


async def test_a_cached_score_costs_a_tenth_of_its_tokens(tmp_path: Path) -> None:
    prompt = "p" * 49
    async with guarded(tmp_path, "tokens_per_minute=1", result_cache_bytes=1000) as (app, _, clock):
        body = native("a", prompt=prompt)
        for expected in (50, 6):
            await app.client.post("/v1/score", json=body, headers={"X-API-Key": KEY})
            refused = await ask(app)
            assert cost(refused) == expected
            clock.now += 60 * 60


async def test_a_client_that_leaves_is_charged_what_was_planned_for_it(tmp_path: Path) -> None:
    """More than was estimated, since these texts have a token for each of their characters."""
    engine, gone = GatedEngine(), asyncio.Event()
    body = json.dumps(native("a" * 60, "b" * 60)).encode()
    events = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        if events:
            return events.pop()
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(_: Message) -> None: ...

    headers = [(b"content-type", b"application/json"), (b"x-api-key", KEY.encode())]
    scope: Scope = {"type": "http", "method": "POST", "path": "/v1/score", "headers": headers}
    scope["query_string"] = b""
    async with guarded(tmp_path, "tokens_per_minute=1", engine=engine) as (app, _, _):
        leaving = asyncio.create_task(app.app(scope, receive, send))
        await engine.begins()
        gone.set()
        await leaving
        engine.go_on.release()
        assert cost(await ask(app)) == 1 + 60 + 60


async def test_each_model_of_a_sum_is_charged(tmp_path: Path) -> None:
    keys, clock = tmp_path / "keys", Clock()
    keys.write_text(line("team-a", KEY, "tokens_per_minute=1"))
    settings = {"model": "1", "also_serve": "other-2", "result_cache_bytes": 0}
    named = Settings.model_validate({"api_keys_file": keys, **settings})
    app = create_app(named, Releases(), clock=clock)
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://test", timeout=10) as client,
    ):
        await app.state.service.started()
        running = Running(app, client)
        await ask(running, models={"fake-rm": 1.0, "other": 1.0})
        assert cost(await ask(running)) == 2 * COST


async def test_who_only_wants_the_tokens_is_charged_for_the_work_too(tmp_path: Path) -> None:
    async with guarded(tmp_path, "tokens_per_minute=1") as (app, _, _):
        app.client.headers["X-API-Key"] = KEY
        answers = [await app.client.post("/tokenize", json={"prompt": "abc"}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 503]


@pytest.mark.parametrize(
    ("limits", "code"), [(["concurrency=1"], "quota_exceeded"), ([], "queue_full")]
)
async def test_overload_is_429_where_that_is_set(
    tmp_path: Path, limits: list[str], code: str
) -> None:
    settings = {"overload_status": "429", "max_queue_items": 1}
    engine = GatedEngine()
    async with guarded(tmp_path, *limits, engine=engine, **settings) as (app, _, _):
        first = asyncio.create_task(ask(app))
        await engine.begins()
        refused = await ask(app)
        engine.go_on.release()
        await first
        app.service.begin_drain()
        draining = await ask(app)
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, code)
    assert int(refused.headers["retry-after"]) >= 1
    assert draining.status_code == 503, "another server is not overloaded"


async def test_a_name_is_logged_and_a_key_never(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    async with guarded(tmp_path) as (app, keys, clock):
        await ask(app)
        await ask(app, "rmk-wrong")
        keys.write_text(f"{KEY} rmk-wrong")
        clock.now += 1
        await ask(app)
        metrics = (await app.client.get("/metrics")).text
    ours = [record for record in caplog.records if record.name.startswith("service")]
    lines = "".join(JsonLines().format(record) for record in ours)
    assert '"key": "team-a"' in lines
    for secret in (KEY, "rmk-wrong", line("", KEY)[9:40]):
        assert secret not in lines + metrics


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("api.example.com", 200),
        ("API.example.com:8000", 200),
        ("a.b.internal", 200),
        ("[::1]:80", 200),
        ("internal", 400),
        ("evil-internal", 400),
        ("api.example.com.evil.org", 400),
        ("api.example.com:80@evil.org", 400),
        ("", 400),
    ],
)
async def test_hosts_that_are_trusted(host: str, status: int) -> None:
    async with running(trusted_hosts="api.example.com, *.internal [::1]") as app:
        answer = await app.client.post("/v1/score", json=BODY, headers={"Host": host})
    assert answer.status_code == status
    assert status == 200 or answer.json()["error"]["code"] == "untrusted_host"
    assert not host or status == 200 or host not in answer.text


async def test_with_nothing_set_anybody_may_come_in() -> None:
    async with running() as app:
        answer = await app.client.post("/v1/score", json=BODY, headers={"Host": "any"})
    assert answer.status_code == 200


async def test_no_body_is_read_for_who_may_not_come_in(tmp_path: Path) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 1
            yield b"x" * 100_000

    async with guarded(tmp_path) as (app, _, _):
        growing = await app.client.post("/v1/score", content=endless())
        announced = await app.client.post("/v1/score", content=b"x" * 2_000_000)
        small = await app.client.post("/v1/score", json=BODY)
    assert sent == 0, "chunks can cost far more than their bytes"
    assert [answer.status_code for answer in (growing, announced, small)] == [401] * 3
    assert growing.headers["connection"] == announced.headers["connection"] == "close"
    assert "connection" not in small.headers
