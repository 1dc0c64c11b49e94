"""LLaMA-Factory's `POST /v1/score/evaluation`, around a fake engine: scores are token counts."""

import pytest

from tests.service.fakes import MAX_TOKENS, running

SECRET = "my secret text"


async def test_the_whole_answer() -> None:
    """Its trainer names the model "model", whatever is served."""
    body = {"model": "model", "messages": ["abc", "abcd"], "max_length": None}
    async with running() as app:
        answer = await app.client.post("/v1/score/evaluation", json=body)
    assert answer.json() == {
        "id": f"scoreval-{answer.headers['x-request-id']}",
        "object": "score.evaluation",
        "model": "fake-rm",
        "scores": [3.0, 4.0],
    }
    assert answer.headers["server-timing"].startswith("admit;dur=")


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": [SECRET, {"role": "user"}]}, "messages[1]"),
        ({"messages": [SECRET], "max_length": 7}, "max_length must be left out"),
        ({"messages": [SECRET, "x" * (MAX_TOKENS + 1)]}, "item 1 (too_long)"),
    ],
)
async def test_errors_have_a_detail(body: dict[str, object], named: str) -> None:
    async with running() as app:
        answer = await app.client.post("/v1/score/evaluation", json=body)
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith(named)
    assert SECRET not in answer.text
