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
        ("/load", {"source": "2", "name": "fake-rm@1"}, 422, "invalid_request"),
        ("/load", {"source": "2", "name": "a+b"}, 422, "invalid_request"),
        ("/load", {"source": "2", "name": "a\n"}, 422, "invalid_request"),
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
    "authorization", [b"", b"Bearer", b"Bearer sesam", b"Basic sesame", b"Bearer sesam\xe9"]
)
@pytest.mark.parametrize(
    ("method", "path", "content"),
    [
        ("GET", "/v1/admin/models", b""),
        ("POST", "/v1/admin/load", b'{"source": "2"}'),
        ("POST", "/v1/admin/load", b"not JSON"),
        ("POST", "/v1/admin/load", b"x" * 65 * 1024),
        ("DELETE", "/v1/admin/load", b""),
        ("GET", "/v1/admin/nothing", b""),
        ("GET", "/docs", b""),
        ("GET", "/redoc", b""),
        ("GET", "/openapi.json", b""),
        ("GET", "/static-offline-docs/swagger-ui.css", b""),
    ],
)
async def test_it_is_closed_without_the_key(
    authorization: bytes, method: str, path: str, content: bytes
) -> None:
    async with administered() as admin:
        url, headers = f"http://admin{path}", [(b"authorization", authorization)]
        answer = await admin.request(method, url, content=content, headers=headers)
        after = await admin.get("/models", headers=KEY)
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert answer.json()["error"]["code"] == "not_allowed"
    assert len(after.json()["data"]) == 1


async def test_its_documentation_is_there_with_the_key() -> None:
    async with administered() as admin:
        answers = [
            await admin.get(f"http://admin{path}", headers=KEY)
            for path in ("/docs", "/openapi.json", "/static-offline-docs/swagger-ui.css", "/none")
        ]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 404]


async def test_a_body_that_is_too_large_meets_the_interface_s_own_limit() -> None:
    async with administered() as admin:
        answer = await admin.post("/load", json={"source": "x" * 64 * 1024}, headers=KEY)
    assert answer.status_code == 413
    assert answer.json()["error"]["message"] == (
        "the body is larger than 65536 bytes, the limit of the admin interface"
    )


async def test_of_two_versions_at_the_start_the_first_stays_the_default() -> None:
    async with administered(also_serve="2,other-3,other-4") as admin:
        listed = (await admin.get("/models", headers=KEY)).json()["data"]
    assert [(one["model"], one["current"], one["default"]) for one in listed] == [
        ("fake-rm@1", True, True),
        ("fake-rm@2", False, False),
        ("other@3", True, False),
        ("other@4", False, False),
    ]
