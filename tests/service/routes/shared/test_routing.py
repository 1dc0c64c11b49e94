"""Strict JSON, and routes that are marked as probes."""

import json

import pytest
from fastapi import APIRouter

from service.errors import MalformedBody
from service.routes.shared.routing import is_probe, parse_json, probe, probe_paths


@pytest.mark.parametrize(
    "value",
    [{}, {"a": [1, 2.5, None, True, "text"]}, {"emoji": "\U0001f600", "e": "caf\xe9"}, [], "", 0],
)
@pytest.mark.parametrize("ascii_only", [True, False])
def test_json_is_parsed(value: object, ascii_only: bool) -> None:
    assert parse_json(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff",
        b'"\xe9"',
        b'{"a": 1} {}',
        "\ufeff{}".encode(),
        json.dumps({}).encode("utf-16"),
        rb'"\ud83d"',
        rb'{"\udE00": 1}',
        b"[" * 100_000,
        b"1" * 5000,
        b'{"a": 1, "a": 1}',
        b'[{"b": {"a": 1, "a": 2}}]',
    ],
)
def test_other_bodies_are_refused_and_never_quoted(body: bytes) -> None:
    with pytest.raises(MalformedBody) as refused:
        parse_json(body)
    assert "ud83d" not in refused.value.message
    assert "0xe9" not in refused.value.message


def test_an_escaped_backslash_before_a_surrogate_is_text() -> None:
    assert parse_json(rb'"\\ud83d"') == r"\ud83d"


def test_a_route_says_that_it_is_a_probe() -> None:
    router = APIRouter()

    @router.head("/alive")
    @router.get("/alive")
    @router.get("/models/{model:path}/alive")
    @probe
    async def alive() -> None: ...

    @router.get("/other")
    async def other() -> None: ...

    patterns = probe_paths([router])
    paths = ("/alive", "/models/a/b/alive", "/other", "/alive/x")
    assert [any(one.match(path) for one in patterns) for path in paths] == [True, True] + [
        False
    ] * 2
    assert [is_probe(route) for route in router.routes] == [True, True, True, False]
    assert not is_probe(None)
