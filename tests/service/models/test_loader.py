"""Models that come and go while an engine does not come back, or the service ends."""

import asyncio
import gc
import threading
import weakref
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from service.errors import CannotLoad
from service.scoring.model import Model, open_model
from service.settings import DEFAULT_MODEL, Settings
from tests.checkpoints import make_checkpoint
from tests.releases import make_release
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


@pytest.fixture
def without_collector() -> Iterator[None]:
    """The collector does not happen to come by; only what asks for it collects."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


class Watched:
    """Opens real models and keeps weak references to their networks, tokenizers and encoders."""

    def __init__(self) -> None:
        self.parts: list[weakref.ref[object]] = []

    def __call__(self, settings: Settings) -> Model:
        opened = open_model(settings)
        network = getattr(opened.engine, "network")  # noqa: B009 - no part of the engine's protocol
        self.parts += map(weakref.ref, (network, network.model, network.tokenizer, opened.encoder))
        return opened

    @property
    def alive(self) -> list[object]:
        return [part for ref in self.parts if (part := ref()) is not None]


@pytest.mark.usefixtures("without_collector")
async def test_nothing_of_an_unloaded_model_stays_in_memory(tmp_path: Path) -> None:
    opener, other = Watched(), make_checkpoint(tmp_path / "other")
    async with starting(opener, model=str(make_checkpoint(tmp_path / "first"))) as app:
        await app.service.started()
        first = len(opener.alive)
        await app.service.load(str(other), None, current=False)
        assert (await app.score("prompt", "a", model="other")).status_code == 200
        assert len(opener.alive) == 2 * first
        await app.service.unload("other@unversioned")
        assert len(opener.alive) == first


@pytest.mark.usefixtures("without_collector")
async def test_nothing_of_a_model_that_failed_to_load_stays_in_memory(tmp_path: Path) -> None:
    opener, wrong = Watched(), make_release(tmp_path / "wrong", golden_error=0.1)
    async with starting(opener, model=str(make_checkpoint(tmp_path / "first"))) as app:
        await app.service.started()
        first = len(opener.alive)
        with pytest.raises(CannotLoad, match=r"golden\.jsonl"):
            await app.service.load(str(wrong), None, current=False)
        assert len(opener.parts) == 2 * first
        assert len(opener.alive) == first


async def test_memory_does_not_grow_while_models_come_and_go() -> None:
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

    async with starting(open_model, model=str(DEFAULT_MODEL)) as app:
        await app.service.started()
        series = []
        for _ in range(6):
            loaded = await app.service.load(str(DEFAULT_MODEL), "other", current=False)
            assert (await app.score("prompt", "a", model="other")).status_code == 200
            await app.service.unload(loaded.key)
            series.append(resident())
    # Before memory was given back, every cycle took 30 MB and more.
    assert max(series[3:]) < min(series[:3]) + 60_000_000
