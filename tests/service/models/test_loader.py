"""Models that come and go while an engine hangs, or the service ends."""

import asyncio
import threading
from contextlib import suppress
from dataclasses import replace

import pytest

from service.errors import CannotLoad
from service.scoring.model import Model
from service.settings import Settings
from tests.service.fakes import FakeEngine, GatedEngine, Running, starting
from tests.service.models.test_watchdog import TIMEOUT, Hanging
from tests.service.models.versions import Releases


class Others:
    """`Releases`, where those of the model `other` have these engines, one after the other."""

    def __init__(self, *engines: FakeEngine) -> None:
        self._releases = Releases()
        self._engines = list(engines)
        self.again, self.go_on = threading.Event(), threading.Event()

    def __call__(self, settings: Settings) -> Model:
        model = self._releases(settings)
        if model.name != "other" or not self._engines:
            return model
        if self.again.is_set():
            assert self.go_on.wait(20), "no test let it be loaded"
        self.again.set()
        return replace(model, engine=self._engines.pop(0))


async def until(app: Running, *, ready: bool) -> None:
    async with asyncio.timeout(20):
        while (app.service.unready is None) != ready:  # noqa: ASYNC110
            await asyncio.sleep(0.001)


async def test_the_end_does_not_wait_for_a_version_that_is_just_let_go() -> None:
    engine = GatedEngine()
    async with starting(Others(engine), model="1", also_serve="other-3") as app:
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


async def test_what_is_unloaded_while_it_is_loaded_again_stays_unloaded() -> None:
    over, fresh = threading.Event(), FakeEngine()
    opener = Others(Hanging(over), fresh)
    async with starting(opener, model="1", also_serve="other-3", **TIMEOUT) as app:
        await app.service.started()
        await app.score("prompt", "!", model="other@3")
        await until(app, ready=False)
        await app.service.unload("other@3")
        opener.go_on.set()
        await until(app, ready=True)
        assert [served.key for served in app.service.models] == ["fake-rm@1"]
        assert fresh.closed
        over.set()


async def test_a_version_that_hangs_on_its_way_out_is_not_missed() -> None:
    over = threading.Event()
    opener = Others(Hanging(over), FakeEngine())
    async with (
        starting(opener, model="1", also_serve="other-3", **TIMEOUT) as app,
        asyncio.timeout(20),
    ):
        await app.service.started()
        served = app.service.models.find("other@3")
        asked = asyncio.create_task(app.score("prompt", "!", model="other@3"))
        while not served.in_use:  # noqa: ASYNC110
            await asyncio.sleep(0)
        await app.service.unload("other@3")
        answer = await asked
        assert app.service.unready is None
        over.set()
    (item,) = answer.json()["results"][0]["scores"]
    assert item["error"]["code"] == "engine_error"
    assert app.service.stuck


async def test_a_shadow_that_hangs_goes_on_when_it_is_loaded_again() -> None:
    over, fresh = threading.Event(), FakeEngine()
    opener = Others(Hanging(over), fresh)
    opener.go_on.set()
    async with starting(opener, model="1", also_serve="other-3", **TIMEOUT) as app:
        await app.service.started()
        app.service.shadow.cast(app.service.models.find("other@3"), 0.5)
        await app.score("prompt", "!", model="other@3")
        await until(app, ready=True)
        assert app.service.shadow.served is app.service.models.find("other@3")
        assert app.service.shadow.share == 0.5
        over.set()


async def test_another_version_where_the_hung_one_was_ends_the_service() -> None:
    over, opened = threading.Event(), list[Model]()

    def opener(settings: Settings) -> Model:
        model = Releases()(settings)
        version = str(1 + len(opened))
        engine = Hanging(over)
        opened.append(
            replace(model, engine=engine, release=replace(model.release, version=version))
        )
        return opened[-1]

    async with starting(opener, model="1", **TIMEOUT) as app:
        await app.service.started()
        await app.score("prompt", "!")
        async with asyncio.timeout(20):
            while app.service.refusal is None:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        over.set()
    assert app.service.refusal.endswith("where fake-rm@1 was loaded from there is fake-rm@2 now")


async def test_loading_that_does_not_end_is_given_up() -> None:
    opener = Others(FakeEngine())
    opener.again.set()
    async with starting(opener, model="1", engine_timeout_seconds=0.01) as app:
        await app.service.started()
        with pytest.raises(CannotLoad, match="nothing has changed: TimeoutError"):
            await app.service.load("other-3", None, current=True)
        assert [served.key for served in app.service.models] == ["fake-rm@1"]
        opener.go_on.set()
    assert app.service.stuck
