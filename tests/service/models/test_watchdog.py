"""A batch that runs too long is noticed."""

import asyncio
import threading

from service.models.loaded_model import LoadedModel
from service.models.watchdog import watch_engines
from tests.service.fakes import FakeEngine, HangingEngine, running


async def test_a_batch_that_runs_too_long_is_reported_until_it_is_aborted() -> None:
    engine, reported = HangingEngine(), list[str]()

    def abort(loaded: LoadedModel) -> None:
        assert loaded.running_for > 0.1
        reported.append(loaded.key)
        loaded.abort()
        assert loaded.running_for == 0

    async with running(engine) as app, asyncio.timeout(20):
        watching = asyncio.create_task(
            watch_engines(
                *(0.1, lambda: app.service.catalogue, abort, lambda *_: None),
                *(lambda: 0.0, lambda: None),
            )
        )
        answer = await app.score("prompt", "!")
        watching.cancel()
        engine.over.set()
    assert reported == ["fake-rm@1.2"]
    (item,) = answer.json()["results"][0]["scores"]
    assert (item["score"], item["error"]["code"]) == (None, "engine_error")


async def test_an_engine_that_ends_while_it_is_idle_ends_the_service() -> None:
    engine = FakeEngine()
    async with running(engine, engine_timeout_seconds=0.2) as app:
        engine.end_reason = "Somebody pulled the plug."
        async with asyncio.timeout(10):
            while app.service.refusal is None:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert "fake-rm@1.2 died. Somebody pulled the plug." in app.service.refusal
        assert app.service.unready
        assert (await app.score("prompt", "a")).status_code == 503


async def test_encoding_that_does_not_end_is_reported() -> None:
    reported = asyncio.Event()
    watching = asyncio.create_task(
        watch_engines(0.1, lambda: [], lambda _: None, lambda *_: None, lambda: 0.2, reported.set)
    )
    async with asyncio.timeout(10):
        await reported.wait()
    watching.cancel()


async def test_a_service_whose_encoding_hangs_ends() -> None:
    go_on = threading.Event()
    async with running(FakeEngine(), engine_timeout_seconds=0.2) as app:
        pool, (loaded,) = app.service._encode_pool, app.service.catalogue
        hanging = asyncio.create_task(pool.run(loaded.model, "interactive", go_on.wait))
        async with asyncio.timeout(10):
            while app.service.refusal is None:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert "Encoding a text did not end within 0.2 seconds" in app.service.refusal
        assert app.service.stuck
        go_on.set()
        await hanging
        assert not app.service.stuck
