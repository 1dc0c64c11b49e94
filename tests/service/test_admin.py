"""The admin interface over HTTP, and that it is closed to whoever has no key."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from service.admin import create_admin_app
from tests.service.fakes import starting
from tests.service.models.versions import Releases

KEY = {"Authorization": "Bearer sesame"}


@asynccontextmanager
async def administered(**settings: object) -> AsyncIterator[httpx.AsyncClient]:
    async with starting(Releases(), model="1", **settings) as app:
        await app.service.started()
        transport = httpx.ASGITransport(create_admin_app(app.service, "sesame"))
        async with httpx.AsyncClient(
            transport=transport, base_url="http://admin/v1/admin"
        ) as admin:
            yield admin


async def test_load_swap_and_unload() -> None:
    async with administered() as admin:
        admin.headers.update(KEY)
        loaded = await admin.post("/load", json={"source": "2"})
        current = await admin.post("/current", json={"model": "fake-rm@2"})
        left = await admin.post("/unload", json={"model": "fake-rm@1"})
        listed = await admin.get("/models")
    first = {"model": "fake-rm@2", "current": False, "default": False, "requests": 0}
    assert loaded.json() == first
    assert current.json() == first | {"current": True, "default": True}
    assert left.json() == listed.json() == {"data": [current.json()]}


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("/load", {"source": "missing"}, 422, "cannot_load"),
        ("/load", {"source": "1"}, 409, "conflict"),
        ("/load", {"sauce": "1"}, 422, "invalid_request"),
        ("/unload", {"model": "fake-rm@1"}, 409, "conflict"),
        ("/unload", {"model": "fake-rm"}, 404, "model_not_found"),
        ("/current", {"model": "fake-rm@2"}, 404, "model_not_found"),
    ],
)
async def test_what_cannot_be_done_is_told(
    path: str, body: dict[str, str], status: int, code: str
) -> None:
    async with administered() as admin:
        answer = await admin.post(path, json=body, headers=KEY)
        after = await admin.get("/models", headers=KEY)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert [one["model"] for one in after.json()["data"]] == ["fake-rm@1"]


@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "Bearer"}, {"Authorization": "Bearer sesam"}]
)
async def test_it_is_closed_without_the_key(headers: dict[str, str]) -> None:
    async with administered() as admin:
        answers = [
            await admin.get("/models", headers=headers),
            await admin.post("/load", json={"source": "2"}, headers=headers),
        ]
        after = await admin.get("/models", headers=KEY)
    assert [answer.status_code for answer in answers] == [401, 401]
    assert {answer.headers["www-authenticate"] for answer in answers} == {"Bearer"}
    assert len(after.json()["data"]) == 1


async def test_no_more_than_64_kib_is_read_of_a_stranger() -> None:
    async with administered() as admin:
        answer = await admin.post("/load", json={"source": "x" * 64 * 1024})
    assert answer.status_code == 413
