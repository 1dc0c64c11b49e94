"""All bodies together are bounded while they are read and parsed."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from service.errors import QueueFull
from service.http.request_body import BodyBudget
from tests.service.fakes import Running, running

JSON = {"Content-Type": "application/json"}
BODY = json.dumps({"inputs": [{"prompt": "p", "candidates": ["a" * 600]}]}).encode()


async def stalled(content: bytes, begun: asyncio.Event) -> AsyncIterator[bytes]:
    yield content
    begun.set()
    await asyncio.Event().wait()


async def stall(app: Running, content: bytes) -> asyncio.Task[object]:
    begun = asyncio.Event()
    sending = app.client.post("/v1/score", content=stalled(content, begun), headers=JSON)
    task: asyncio.Task[object] = asyncio.create_task(sending)
    await begun.wait()
    return task


async def test_bodies_under_way_are_bounded_together() -> None:
    async with running(max_bodies_bytes=2000, max_body_bytes=1000) as app:
        uploads = [await stall(app, b" " * 700) for _ in range(2)]
        refused = await app.client.post("/v1/score", content=BODY, headers=JSON)
        assert refused.status_code == 503
        assert refused.json()["error"]["code"] == "queue_full"
        assert "--max-bodies-bytes" in refused.json()["error"]["message"]
        assert refused.headers["retry-after"] == "1"
        uploads.pop().cancel()
        await asyncio.sleep(0)
        answer = await app.client.post("/v1/score", content=BODY, headers=JSON)
        assert answer.status_code == 200
        uploads.pop().cancel()


async def test_an_upload_counts_what_it_has_sent_and_not_what_it_may_send() -> None:
    async with running(max_bodies_bytes=2000, max_body_bytes=1000) as app:
        uploads = [await stall(app, b" ") for _ in range(50)]
        answer = await app.client.post("/v1/score", content=BODY, headers=JSON)
        for upload in uploads:
            upload.cancel()
    assert answer.status_code == 200


@pytest.mark.parametrize("body", [BODY, b"{" * 900, b" " * 1001])
@pytest.mark.parametrize("path", ["/v1/score", "/nowhere", "/classify", "/v2/models/fake-rm/infer"])
async def test_every_body_is_let_go_however_its_request_ends(path: str, body: bytes) -> None:
    async with running(max_bodies_bytes=1000, max_body_bytes=1000) as app:
        for _ in range(3):
            await app.client.post(path, content=body, headers=JSON)
        last = await app.client.post("/v1/score", content=BODY, headers=JSON)
    assert last.status_code == 200


async def test_one_body_of_the_largest_size_always_has_room() -> None:
    async with running(max_bodies_bytes=1) as app:
        answer = await app.client.post("/v1/score", content=BODY, headers=JSON)
    assert answer.status_code == 200


def test_what_is_refused_is_not_counted() -> None:
    budget = BodyBudget(10)
    budget.take(10)
    with pytest.raises(QueueFull):
        budget.take(1)
    budget.give_back(10)
    budget.take(10)
