"""Several models and versions: who gets which, and that a change of them costs nobody an answer."""

import asyncio
from dataclasses import replace

import httpx
import pytest

from service.errors import CannotLoad, Conflict, NotReady, UnknownModel
from service.scoring.model import Model
from service.settings import Settings
from tests.service.fakes import Running, starting
from tests.service.models.versions import Releases


async def version(app: Running, **named: object) -> str:
    answer = (await app.score("prompt", "a", **named)).json()
    (score,) = answer["results"][0]["scores"]
    assert score["score"] == 1000.0 * int(answer["version"]) + 7, "a score of the version it names"
    return f"{answer['model']}@{answer['version']}"


async def test_several_models_are_told_apart_by_name() -> None:
    async with starting(Releases(), model="1", also_serve="other-3,other-4") as app:
        await app.service.started()
        assert await version(app) == "fake-rm@1"
        assert await version(app, model="fake-rm") == "fake-rm@1"
        assert await version(app, model="other") == "other@3"
        assert await version(app, model="other@4") == "other@4"
        unknown = await app.score("prompt", "a", model="fake-rm@2")
        listed = (await app.client.get("/v1/models")).json()["data"]
    assert unknown.status_code == 404
    assert "fake-rm@1" in unknown.json()["error"]["message"]
    assert [(one["id"], one["version"], one["current"]) for one in listed] == [
        ("fake-rm", "1", True),
        ("other", "3", True),
        ("other", "4", False),
    ]


async def test_one_that_cannot_be_served_beside_the_first_is_a_refusal() -> None:
    async with starting(Releases(), model="1", also_serve="missing") as app:
        await app.service.started()
        assert app.service.refusal == "missing/config.json: is not there"


async def test_a_swap_under_load_loses_no_request_and_mixes_no_versions() -> None:
    releases, swapped = Releases(), asyncio.Event()

    async def ask(client: int) -> list[str]:
        seen: list[str] = []
        while not swapped.is_set() or len(seen) < 5:
            seen.append(await version(app, priority="bulk" if client % 2 else "interactive"))
        return seen

    async with starting(releases, model="1", result_cache_bytes=0) as app:
        await app.service.started()
        clients = [asyncio.create_task(ask(number)) for number in range(8)]
        await version(app)
        await app.service.load("2", None, current=False)
        assert await version(app) == "fake-rm@1", "loaded, and not yet current"
        assert await version(app, model="fake-rm@2") == "fake-rm@2"
        app.service.catalogue.make_current("fake-rm@2")
        assert await version(app) == "fake-rm@2"
        await app.service.unload("fake-rm@1")
        assert releases.engines["1"].closed
        swapped.set()
        seen = await asyncio.gather(*clients)
        metrics = (await app.client.get("/metrics")).text
    versions = [each for by_client in seen for each in by_client]
    assert set(versions) == {"fake-rm@1", "fake-rm@2"}
    assert all(by_client == sorted(by_client) for by_client in seen), "none goes back to the old"
    assert f'reward_items_total{{outcome="ok"}} {len(versions) + 4}.0' in metrics
    assert 'version="1"' not in metrics


async def test_nothing_is_loaded_beside_what_is_not_there_yet() -> None:
    async with starting(Releases(), model="1") as app:
        with pytest.raises(NotReady):
            await app.service.load("2", None, current=True)


async def test_a_load_that_fails_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async with starting(Releases(), model="1") as app:
        await app.service.started()
        with pytest.raises(CannotLoad, match=r"nothing has changed: missing/config\.json"):
            await app.service.load("missing", None, current=True)
        with pytest.raises(Conflict, match="fake-rm@1 is loaded already"):
            await app.service.load("1", None, current=True)
        assert [one.key for one in app.service.catalogue] == ["fake-rm@1"]
        assert await version(app) == "fake-rm@1"
        await app.service.load("1", "twin", current=True)
        assert await version(app, model="twin") == "twin@1"


async def test_an_exact_version_is_never_another_model_s_name() -> None:
    class Named(Releases):
        """Opens `odd` under a name that no real opener accepts."""

        def __call__(self, settings: Settings) -> Model:
            odd = settings.model == "odd-2"
            opened = super().__call__(settings)
            return replace(opened, name="fake-rm@1") if odd else opened

    async with starting(Named(), model="1", also_serve="odd-2") as app:
        await app.service.started()
        assert await version(app, model="fake-rm@1") == "fake-rm@1"
        assert (await app.client.get("/v2/models/fake-rm/versions/1")).status_code == 200


async def test_names_that_only_look_alike_are_not_served_side_by_side() -> None:
    async with starting(Releases(), model="1") as app:
        await app.service.started()
        with pytest.raises(Conflict, match="give this one another name"):
            await app.service.load("Fake-RM-1", None, current=False)
        assert [one.key for one in app.service.catalogue] == ["fake-rm@1"]


async def test_the_same_version_twice_at_the_start_is_a_refusal() -> None:
    async with starting(Releases(), model="1", also_serve="fake-rm-1") as app:
        await app.service.started()
        assert "fake-rm@1 is loaded already" in str(app.service.refusal)


async def test_what_is_needed_is_not_unloaded() -> None:
    async with starting(Releases(), model="1", also_serve="other-1") as app:
        await app.service.started()
        with pytest.raises(Conflict, match="is current"):
            await app.service.unload("fake-rm@1")
        with pytest.raises(UnknownModel, match="loaded are"):
            await app.service.unload("fake-rm@9")
        await app.service.unload("other@1")
        gone: httpx.Response = await app.score("prompt", "a", model="other")
    assert gone.status_code == 404


async def test_a_version_is_let_go_when_its_requests_are_answered() -> None:
    async with starting(Releases(), model="1", also_serve="2") as app:
        await app.service.started()
        loaded = app.service.catalogue.find("fake-rm@2")
        with loaded.used() as scorer:
            unloading = asyncio.create_task(app.service.unload("fake-rm@2"))
            await asyncio.sleep(0)
            assert not unloading.done()
            assert scorer is loaded.scorer
        await unloading


async def test_an_engine_that_dies_takes_no_more_than_its_version_out() -> None:
    """Unless requests get it that name no version: then the process ends, and is started afresh."""
    releases = Releases()
    async with starting(releases, model="1", also_serve="other-4,other-3") as app:
        await app.service.started()
        app.service.shadow.assign(app.service.catalogue.find("other@3"), 1.0)
        releases.engines["other-3"].dead = True
        broken = await app.score("prompt", "a", model="other@3")
        gone = await app.score("prompt", "a", model="other@3")
        assert await version(app, model="other") == "other@4"
        assert app.service.shadow.loaded is None
        assert (app.service.refusal, app.service.unready) == (None, None)
        assert "other@3" not in [loaded.key for loaded in app.service.catalogue]
        async with asyncio.timeout(20):
            while not releases.engines["other-3"].closed:  # noqa: ASYNC110
                await asyncio.sleep(0)
        releases.engines["other-4"].dead = True
        await app.score("prompt", "b", model="other")
        assert app.service.refusal == (
            "The engine of other@4 died. Its process ended. The process ends, to be started afresh."
        )
    (row,) = broken.json()["results"][0]["scores"]
    assert row["error"]["code"] == "engine_error"
    assert gone.status_code == 404
