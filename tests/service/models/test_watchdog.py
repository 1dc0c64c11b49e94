"""A batch that runs too long is noticed."""

import asyncio

from service.models.loaded_model import LoadedModel
from service.models.watchdog import watch_for_hangs
from tests.service.fakes import HangingEngine, running


async def test_a_batch_that_runs_too_long_is_reported_until_it_is_aborted() -> None:
    engine, reported = HangingEngine(), list[str]()

    def abort(loaded: LoadedModel) -> None:
        assert loaded.running_for > 0.1
        reported.append(loaded.key)
        loaded.abort()
        assert loaded.running_for == 0

    async with running(engine) as app, asyncio.timeout(20):
        watching = asyncio.create_task(watch_for_hangs(0.1, lambda: app.service.catalogue, abort))
        answer = await app.score("prompt", "!")
        watching.cancel()
        engine.over.set()
    assert reported == ["fake-rm@1.2"]
    (item,) = answer.json()["results"][0]["scores"]
    assert (item["score"], item["error"]["code"]) == (None, "engine_error")
