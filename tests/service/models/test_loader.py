"""Models that come and go while an engine does not come back, or the service ends."""

import asyncio
import threading
from contextlib import suppress

import pytest

from service.errors import CannotLoad
from service.scoring.model import Model
from service.settings import Settings
from tests.service.fakes import GatedEngine, HangingEngine, starting
from tests.service.models.versions import Releases


async def test_the_end_does_not_wait_for_a_version_that_is_just_unloaded() -> None:
    engine = GatedEngine()
    async with starting(Releases({"other-3": engine}), model="1", also_serve="other-3") as app:
        await app.service.started()
        asked = asyncio.create_task(app.score("prompt", "a", model="other@3"))
        await engine.begins()
        asked.cancel()
        with suppress(asyncio.CancelledError):
            await asked
        unloading = asyncio.create_task(app.service.unload("other@3"))
        await asyncio.sleep(0.01)
        unloading.cancel()  # as the admin interface's server does when it ends
        with suppress(asyncio.CancelledError):
            await unloading
    engine.go_on.release()
    assert app.service.stuck, "its batch still runs"


async def test_a_version_that_hangs_while_it_is_unloaded_is_not_missed() -> None:
    engine = HangingEngine()
    opener = Releases({"other-3": engine})
    async with (
        starting(opener, model="1", also_serve="other-3", engine_timeout_seconds=0.2) as app,
        asyncio.timeout(20),
    ):
        await app.service.started()
        loaded = app.service.catalogue.find("other@3")
        asked = asyncio.create_task(app.score("prompt", "!", model="other@3"))
        while not loaded.in_use:  # noqa: ASYNC110
            await asyncio.sleep(0)
        await app.service.unload("other@3")
        answer = await asked
        assert (app.service.unready, app.service.refusal) == (None, None)
    engine.over.set()
    (item,) = answer.json()["results"][0]["scores"]
    assert item["error"]["code"] == "engine_error"
    assert app.service.stuck


async def test_loading_that_does_not_end_is_given_up() -> None:
    releases, go_on = Releases(), threading.Event()

    def opener(settings: Settings) -> Model:
        if settings.model == "other-3":
            assert go_on.wait(20), "no test let it be loaded"
        return releases(settings)

    async with starting(opener, model="1", engine_timeout_seconds=0.01) as app:
        await app.service.started()
        with pytest.raises(
            CannotLoad, match=r"nothing has changed: it was not loaded within 0\.1 seconds"
        ):
            await app.service.load("other-3", None, current=True)
        assert [loaded.key for loaded in app.service.catalogue] == ["fake-rm@1"]
        go_on.set()
    assert app.service.stuck
