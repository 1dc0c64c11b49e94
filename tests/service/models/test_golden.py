"""Golden scores are replayed before a model serves, and what they must be is said."""

import pytest

from reward_model.release.manifest import Golden
from reward_model.text.chat import Message
from tests.service.fakes import FakeEngine, running


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


async def test_a_golden_text_that_no_longer_fits_keeps_it_unready(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with running(FakeEngine(), golden("ab", "c" * 99, 101.0)) as app:
        assert app.service.state == "failed"
    assert "line 1: expected 101.000000, got the error too_long" in caplog.text
