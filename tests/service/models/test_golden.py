"""Golden scores are replayed before a model serves, and what they must be is said."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from reward_model.release.manifest import Golden
from reward_model.text.chat import Message
from service.scheduling.queue import PRIORITIES, Priority
from service.scoring.model import Model
from service.settings import Settings
from tests.service.fakes import FakeEngine, GatedEngine, model, running, starting


def golden(prompt: str, answer: str, score: float) -> Golden:
    turns = (Message("user", prompt), Message("assistant", answer))
    return Golden(messages=turns, score=score)


async def test_golden_scores_are_replayed_before_readiness() -> None:
    engine = FakeEngine()
    async with running(engine, golden("ab", "c", 3.0), golden("ab", "cd", 4.0)) as app:
        assert app.service.unready is None
    assert [len(sequence.ids) for batch in engine.batches for sequence in batch] == [3, 4]


async def test_a_wrong_golden_score_keeps_it_unready(caplog: pytest.LogCaptureFixture) -> None:
    async with running(FakeEngine(), golden("ab", "c", 3.0), golden("ab", "cd", 4.5)) as app:
        ready = await app.client.get("/readyz")
        score = await app.score("prompt", "a")
        alive = await app.client.get("/healthz")
        metrics = (await app.client.get("/metrics")).text
    assert ready.status_code == score.status_code == 503
    # Whoever reaches the port reads neither paths nor scores; the log has both.
    assert ready.json()["reason"] == score.json()["error"]["message"]
    assert ready.json()["reason"] == (
        "the model is not served (GoldenMismatch); this server's log says why"
    )
    assert "golden.jsonl: 1 of 2" in caplog.text
    assert "line 2: expected 4.500000 within 0, got 4.000000" in caplog.text
    assert "--dtype" in caplog.text
    assert alive.status_code == 200
    assert "reward_ready 0.0" in metrics


@pytest.mark.parametrize(("dtype", "first"), [("bfloat16", 3.6), ("float32", 3.1)])
async def test_a_score_that_is_further_off_than_its_format_explains_keeps_it_unready(
    dtype: str, first: float, caplog: pytest.LogCaptureFixture
) -> None:
    engine = FakeEngine()
    engine.facts = replace(engine.facts, dtype=dtype)
    async with running(engine, golden("ab", "c", first), golden("ab", "c" * 11, 13.0)) as app:
        assert app.service.state == "failed"
    assert f"line 1: expected {first:f}" in caplog.text


async def test_a_format_with_fewer_digits_may_move_golden_scores_and_the_log_says_how_far(
    caplog: pytest.LogCaptureFixture,
) -> None:
    engine = FakeEngine()
    engine.facts = replace(engine.facts, dtype="bfloat16")
    async with running(engine, golden("ab", "c", 3.1), golden("ab", "c" * 11, 13.0)) as app:
        assert app.service.unready is None
    assert "golden scores, whose deviation is 5, are up to 0.1 off" in caplog.text


async def test_a_golden_text_that_no_longer_fits_keeps_it_unready(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with running(FakeEngine(), golden("ab", "c" * 99, 101.0)) as app:
        assert app.service.state == "failed"
    assert "line 1: expected 101.000000, got the error too_long" in caplog.text


GOLDEN = [golden("ab", "c" * (n % 9), 2.0 + n % 9) for n in range(1, 9)] * 200
"""More than a replay scores at a time, and more than the queues below have room for."""


def two_models(first: FakeEngine, second: FakeEngine) -> Callable[[Settings], Model]:
    """Opens a model by each name; the release of `second` has golden scores."""

    def opener(settings: Settings) -> Model:
        if settings.model == "first":
            return model(first)
        return replace(model(second, *GOLDEN), name="second")

    return opener


async def test_a_replay_takes_no_room_from_live_requests() -> None:
    proving = GatedEngine()
    opener = two_models(FakeEngine(), proving)
    async with starting(opener, model="first", max_queue_items=4, max_queue_tokens=99) as app:
        await app.service.started()
        loading = asyncio.create_task(app.service.load("second", None, current=True))
        await proving.begins()
        answers = [await app.score("prompt", "a") for _ in range(3)]
        metrics = (await app.client.get("/metrics")).text
        proving.go_on.release(10_000)
        await loading
    assert [answer.status_code for answer in answers] == [200] * 3
    assert 'reward_queue_items{priority="bulk"} 0.0' in metrics
    assert max(map(len, proving.batches)) <= 256, "not all of it at once"


@pytest.mark.parametrize("priority", PRIORITIES)
async def test_a_full_queue_keeps_no_good_model_out(priority: Priority) -> None:
    serving = GatedEngine()
    opener = two_models(serving, FakeEngine())
    async with starting(opener, model="first", max_queue_items=2) as app:
        await app.service.started()
        asking = asyncio.create_task(app.score("prompt", "a", "b", "c", priority=priority))
        await serving.begins()
        assert (await app.score("prompt", "a", priority=priority)).status_code == 503
        loaded = await app.service.load("second", None, current=True)
        assert loaded in app.service.catalogue
        serving.go_on.release()
        assert (await asking).status_code == 200
