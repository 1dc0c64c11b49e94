"""OpenRLHF's `POST /get_reward`, around a fake engine whose score is the number of tokens."""

import math

import pytest

from service.scoring.model import Model
from tests.service.fakes import (
    CALIBRATION,
    ENCODER,
    MAX_CHARACTERS,
    MAX_TOKENS,
    FakeEngine,
    release,
    running,
    starting,
)

SECRET = "my secret text"


def squashed(score: float) -> object:
    return pytest.approx(1 / (1 + math.exp(-score)))


async def test_the_whole_answer() -> None:
    body = {"query": ["abc", "abcdefghijkl"], "prompts": ["a", "a"], "labels": ["1", None]}
    async with running() as app:
        answer = await app.client.post("/get_reward", json=body)
    normalized = [CALIBRATION.apply(3.0), CALIBRATION.apply(12.0)]
    assert answer.json() == {
        "rewards": [3.0, 12.0],
        "scores": [squashed(score) for score in normalized],
        "extra_logs": {},
    }
    assert answer.headers["server-timing"].startswith("admit;dur=")


async def test_without_calibration_the_raw_logit_is_squashed() -> None:
    bare = release()
    object.__setattr__(bare, "calibration", None)
    uncalibrated = Model("rm", bare, ENCODER, MAX_CHARACTERS, FakeEngine())
    async with starting(lambda _: uncalibrated) as app:
        await app.service.started()
        answer = await app.client.post("/get_reward", json={"query": ["abc"]})
    assert answer.json() == {"rewards": [3.0], "scores": [squashed(3.0)], "extra_logs": {}}


async def test_an_empty_query_is_answered_with_empty_lists() -> None:
    """Older clients send their texts to some servers of a list and nothing to the others."""
    async with running() as app:
        answer = await app.client.post("/get_reward", json={"query": [], "prompts": []})
    assert answer.status_code == 200
    assert answer.json() == {"rewards": [], "scores": [], "extra_logs": {}}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"query": SECRET},
        {"query": [SECRET, 1]},
        {"query": [SECRET, ""]},
        {"query": ["x" * (MAX_TOKENS + 1)]},
        {"query": [SECRET] * 11},
    ],
)
async def test_errors_have_a_detail(body: dict[str, object]) -> None:
    async with running(max_candidates=10) as app:
        answer = await app.client.post("/get_reward", json=body)
    assert answer.status_code == 422
    assert list(answer.json()) == ["detail"]
    assert SECRET not in answer.text
