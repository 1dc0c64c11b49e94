"""What the documentation shows is what the service with the default model answers."""

import json
import re
from pathlib import Path

import pytest

from service.scoring.model import open_model
from tests.service.fakes import running, starting

ROOT = Path(__file__).resolve().parents[1]
_BLOCK = re.compile(r"```json\n(.*?)```|-d '(\{.*?\})'", re.DOTALL)


def shown_in(page: str, key: str) -> list[dict[str, object]]:
    """The JSON objects of a page that have this key."""
    blocks = [a or b for a, b in _BLOCK.findall((ROOT / page).read_text())]
    return [value for value in map(json.loads, blocks) if key in value]


@pytest.mark.parametrize("page", ["README.md", "docs/scoring.md"])
async def test_every_request_shown_is_answered_with_a_best_candidate(page: str) -> None:
    requests = shown_in(page, "inputs")
    assert requests
    async with starting(open_model) as app:
        await app.service.started()
        for body in requests:
            answer = await app.client.post("/v1/score", json=body)
            assert answer.status_code == 200, answer.text
            assert all(result["best"] is not None for result in answer.json()["results"])


async def test_the_answer_shown_is_the_one_sent() -> None:
    (body,) = shown_in("README.md", "inputs")
    (shown,) = shown_in("README.md", "results")
    async with starting(open_model) as app:
        await app.service.started()
        answer = (await app.client.post("/v1/score", json=body)).json()
    assert flat(answer | {"id": shown["id"]}) == pytest.approx(flat(shown), abs=1e-4)


def flat(value: object, path: str = "") -> dict[str, object]:
    """Every leaf by its path, which is what `approx` can compare."""
    if not isinstance(value, dict | list):
        return {path: value}
    entries = value.items() if isinstance(value, dict) else enumerate(value)
    return {k: v for name, entry in entries for k, v in flat(entry, f"{path}.{name}").items()}


async def test_the_error_shown_is_the_one_sent() -> None:
    (shown,) = shown_in("docs/scoring.md", "error")
    async with running() as app:
        body = {"inputs": [{"prompt": "a", "candidates": []}]}
        answer = await app.client.post("/v1/score", json=body)
    assert answer.json() == shown


def test_every_error_code_is_documented() -> None:
    page = (ROOT / "docs/scoring.md").read_text()
    source = (ROOT / "service/errors.py").read_text()
    codes = set(re.findall(r'^    code(?:: ClassVar\[str\])? = "(\w+)"', source, re.M))
    unseen = {"client_gone"}  # nobody is there to read it
    assert sorted(code for code in codes - unseen if f"`{code}`" not in page) == []


def test_every_test_that_security_md_names_is_there() -> None:
    named = re.findall(r"`([\w/]+\.py)::(test_\w+)`", (ROOT / "docs/security.md").read_text())
    assert named
    missing = [
        f"{file}::{name}"
        for file, name in named
        if f"def {name}(" not in (ROOT / "tests" / file).read_text("utf-8")
    ]
    assert missing == []
