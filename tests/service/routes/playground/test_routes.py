"""The files of the playground: who gets them, with which headers, and that all are packaged."""

import re
import tomllib
from pathlib import Path

import pytest

from service.routes.playground.routes import STATIC, router
from tests.service.fakes import running
from tests.service.http.test_gate import KEY, guarded

ROOT = Path(__file__).resolve().parents[4]
FILES = sorted(
    "/playground" if path.name == "index.html" else f"/playground/{path.name}"
    for path in STATIC.iterdir()
)


async def test_every_file_comes_with_its_type_and_a_strict_policy() -> None:
    async with running() as app:
        answers = {path: await app.client.get(path) for path in FILES}
    types = {answer.headers["content-type"].partition(";")[0] for answer in answers.values()}
    assert types == {"text/html", "text/css", "text/javascript"}
    for answer in answers.values():
        assert answer.status_code == 200
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"


async def test_a_browser_that_has_a_file_is_told_so_and_the_head_alone_will_do() -> None:
    async with running() as app:
        first = await app.client.get("/playground")
        etag = first.headers["etag"]
        again = [
            await app.client.get("/playground", headers={"If-None-Match": known})
            for known in (etag, f"W/{etag}", f'"other", {etag}')
        ]
        other = await app.client.get("/playground", headers={"If-None-Match": '"other"'})
        head = await app.client.head("/playground")
    assert [(answer.status_code, answer.content) for answer in again] == [(304, b"")] * 3
    assert (other.status_code, other.content) == (200, first.content)
    assert (head.status_code, head.headers["etag"]) == (200, etag)
    assert first.headers["cache-control"] == "no-cache", "asked for again after an upgrade"


@pytest.mark.parametrize("path", FILES)
async def test_nothing_is_referred_to_by_an_absolute_path_or_from_elsewhere(path: str) -> None:
    """So the page works below the path prefix of a proxy, and offline."""
    async with running() as app:
        text = (await app.client.get(path)).text
    references = re.findall(r'(?:src|href)="([^"]+)|from "([^"]+)|\burl\(([^)]+)', text)
    named = {name for groups in references for name in groups if name}
    assert {n for n in named if not n.startswith(("playground/", "./"))} <= {"docs", "data:,"}
    assert "://" not in text


async def test_what_the_page_loads_is_there() -> None:
    loaded = re.findall(r'(?:src|href)="(playground/[^"]+)"', (STATIC / "index.html").read_text())
    for script in STATIC.glob("*.js"):
        imported = re.findall(r'from "\./([^"]+)"', script.read_text())
        loaded += [f"playground/{name}" for name in imported]
    assert {f"/{name}" for name in loaded} | {"/playground"} == set(FILES)


async def test_the_page_needs_no_key_and_nothing_else_is_let_in_with_it(tmp_path: Path) -> None:
    async with guarded(tmp_path, trusted_hosts="api.example.com") as (app, _, _):
        other_host = await app.client.get("/playground")
        app.client.headers["Host"] = "api.example.com"
        without = [await app.client.request(m, p) for m in ("GET", "HEAD") for p in FILES]
        refused = [
            await app.client.post("/playground"),
            await app.client.request("GET", "/playground", content=b"x"),
            *[
                await app.client.get(path)
                for path in (
                    "/playground/",
                    "/playground/index.html",
                    "/playground/main.js/x",
                    "/playground%0A",
                    "/playground/..%2Fv1%2Fmodels",
                    "/v1/models",
                )
            ],
        ]
        known = await app.client.get("/playground", headers={"X-API-Key": KEY})
    assert other_host.status_code == 400
    assert {answer.status_code for answer in without} == {200}
    assert {answer.status_code for answer in refused} == {401}
    assert known.status_code == 200


async def test_a_setting_turns_it_off(tmp_path: Path) -> None:
    async with running(playground=False) as app:
        answers = [await app.client.get(path) for path in FILES]
        described = (await app.client.get("/openapi.json")).json()["info"]["description"]
    assert {answer.status_code for answer in answers} == {404}
    assert "playground" not in described
    async with running(dialects="vllm") as app:
        assert (await app.client.get("/playground")).status_code == 404, "it speaks native"
    async with guarded(tmp_path, playground=False) as (app, _, _):
        assert (await app.client.get("/playground")).status_code == 401


async def test_the_documentation_of_the_api_leads_to_it() -> None:
    async with running() as app:
        schema = (await app.client.get("/openapi.json")).json()
    assert "[playground](playground)" in schema["info"]["description"]
    assert not [path for path in schema["paths"] if "playground" in path]


def test_the_files_are_packaged() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    patterns = project["tool"]["setuptools"]["package-data"]["service.routes.playground"]
    packaged = {path for pattern in patterns for path in STATIC.parent.glob(pattern)}
    assert packaged == set(STATIC.iterdir())
    assert len(router.routes) == len(packaged)
