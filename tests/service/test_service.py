"""Loading, proving, draining, ending."""

import asyncio
import threading

import pytest

from reward_model.packing import Sequence
from reward_model.release.release import ReleaseError
from service.engines.engine import EngineDead
from service.errors import CannotLoad
from service.scoring.model import Model
from service.settings import Settings
from tests.service.fakes import (
    FakeEngine,
    GatedEngine,
    HangingEngine,
    model,
    running,
    starting,
)
from tests.service.models.versions import Releases


class ColdEngine(FakeEngine):
    def warm_up(self) -> None:
        raise RuntimeError("no memory left on the device")


async def test_a_failing_warm_up_keeps_it_unready_with_the_reason(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with running(ColdEngine()) as app:
        assert app.service.unready == (
            "the model is not served (RuntimeError); this server's log says why"
        )
        assert app.service.refusal is None
    assert "RuntimeError: no memory left on the device" in caplog.text


class Panic(BaseException):
    """What a panic in Rust is in Python: no Exception."""


@pytest.mark.parametrize("failure", [Panic, SystemExit])
async def test_a_panic_while_the_model_loads_is_a_failure_like_any_other(
    failure: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    class Panicking(FakeEngine):
        def warm_up(self) -> None:
            raise failure("the regex is too large")

    async with running(Panicking()) as app:
        ready = await app.client.get("/readyz")
        assert app.service.state == "failed"
    assert ready.status_code == 503
    assert failure.__name__ in ready.json()["reason"]
    assert f"{failure.__name__}: the regex is too large" in caplog.text
    opener = Releases({"2": Panicking()})
    async with starting(opener, model="1") as app:
        await app.service.started()
        with pytest.raises(CannotLoad, match=f"{failure.__name__}: the regex is too large"):
            await app.service.load("2", None, current=True)
        assert (await app.score("prompt", "a")).status_code == 200


async def test_an_unfit_release_is_refused() -> None:
    def refuse(_: Settings) -> Model:
        raise ReleaseError("x/config.json: has 2 labels")

    async with starting(refuse) as app:
        await app.service.started()
        ready = await app.client.get("/readyz")
    assert app.service.refusal == "x/config.json: has 2 labels"
    assert ready.json()["reason"] == (
        "the model is not served (ReleaseError); this server's log says why"
    )


async def test_warnings_of_a_release_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    async with running():
        pass
    assert "not a real model" in caplog.text


async def test_a_drain_refuses_new_requests_and_readiness() -> None:
    async with running() as app:
        app.service.begin_drain()
        ready = await app.client.get("/readyz")
        score = await app.score("prompt", "a")
        alive = await app.client.get("/healthz")
    assert (ready.status_code, alive.status_code) == (503, 200)
    assert "shutting down" in ready.json()["reason"]
    assert score.status_code == 503
    assert score.json()["error"]["code"] == "draining"
    assert (score.headers["retry-after"], score.headers["connection"]) == ("1", "close")


async def test_the_engine_is_closed_on_its_own_thread() -> None:
    class Threads(FakeEngine):
        def __init__(self) -> None:
            super().__init__()
            self.seen = {threading.current_thread()}

        def warm_up(self) -> None:
            self.seen.add(threading.current_thread())

        def close(self) -> None:
            self.seen.add(threading.current_thread())
            super().close()

    engines: list[Threads] = []

    def opener(_: Settings) -> Model:
        engines.append(Threads())
        return model(engines[0])

    async with starting(opener) as app:
        await app.service.started()
        await app.score("prompt", "a")
    assert engines[0].closed
    assert len(engines[0].seen) == 1
    assert not app.service.stuck


async def test_batches_beside_each_other_leave_the_engine_thread_alone() -> None:
    """Opening, warming up and closing stay on one thread; batches run on others, and overlap."""
    engine = GatedEngine(batches_in_flight=2)
    async with running(engine) as app:
        early = asyncio.create_task(app.score("prompt", "a"))
        await engine.begins()
        late = asyncio.create_task(app.score("prompt", "bc"))
        await engine.begins()
        engine.go_on.release(2)
        answers = await early, await late
    scores = [answer.json()["results"][0]["scores"][0]["score"] for answer in answers]
    assert scores == [7.0, 8.0]
    assert engine.closed
    assert not app.service.stuck


async def test_a_dead_engine_ends_the_service() -> None:
    class Dying(FakeEngine):
        def score(self, batch: list[Sequence]) -> list[list[float]]:
            if batch:
                raise EngineDead("Its process ended.")
            return []

    async with running(Dying()) as app:
        assert app.service.unready is None
        answer = await app.score("prompt", "a")
        ready = await app.client.get("/readyz")
    assert answer.json()["results"][0]["scores"][0]["error"]["code"] == "engine_error"
    assert ready.json()["reason"] == "an engine failed; the process ends, to be started afresh"
    assert app.service.refusal == (
        "The engine of fake-rm@1.2 died. Its process ended. The process ends, to be started afresh."
    )


async def test_a_current_version_that_hangs_answers_all_it_holds_and_ends_the_service() -> None:
    engine = HangingEngine()
    async with running(engine, engine_timeout_seconds=0.2) as app:
        async with asyncio.timeout(20):
            answers = await asyncio.gather(*(app.score("prompt", f"{n}!") for n in range(20)))
        late = await app.score("prompt", "a")
    engine.over.set()
    held = [answer.json() for answer in answers if answer.status_code == 200]
    assert held
    for answer in held:
        (item,) = answer["results"][0]["scores"]
        assert (item["score"], item["error"]["code"]) == (None, "engine_error")
    # What came after the hang was noticed is refused as before readiness.
    refused = [late, *(answer for answer in answers if answer.status_code != 200)]
    assert {answer.json()["error"]["code"] for answer in refused} == {"not_ready"}
    assert "fake-rm@1.2 did not come back from a batch within 0.2 seconds" in str(
        app.service.refusal
    )
    assert app.service.stuck, "the thread that hangs would hold up a usual exit"


async def test_a_shadow_that_hangs_leaves_alone_and_the_service_stays_ready() -> None:
    engine = HangingEngine()
    opener = Releases({"other-3": engine})
    async with (
        starting(
            opener, model="1", also_serve="other-4,other-3", engine_timeout_seconds=0.2
        ) as app,
        asyncio.timeout(20),
    ):
        await app.service.started()
        app.service.shadow.assign(app.service.catalogue.find("other@3"), 1.0)
        hung = await app.score("prompt", "!")
        while app.service.catalogue.get("other@3"):  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        await app.service.shadow.settled()
        assert app.service.shadow.loaded is None
        after = await app.score("prompt", "a")
        gone = await app.score("prompt", "a", model="other@3")
        assert (app.service.unready, app.service.refusal) == (None, None)
        engine.over.set()
    assert hung.json()["results"][0]["scores"][0]["score"] == 1007.0
    assert after.json()["results"][0]["scores"][0]["score"] == 1007.0
    assert gone.status_code == 404


async def test_an_engine_that_cannot_warm_up_is_closed() -> None:
    engine = ColdEngine()
    async with running(engine):
        pass
    assert engine.closed


async def test_ending_while_the_model_loads() -> None:
    """Nothing is served any more, and the engine that still arrives is closed."""
    loading, go_on, engine = threading.Event(), threading.Event(), FakeEngine()

    def slow(_: Settings) -> Model:
        loading.set()
        go_on.wait(10)
        return model(engine)

    async with starting(slow) as app:
        assert await asyncio.to_thread(loading.wait, 10)
        go_on.set()
    assert app.service.unready is not None
    assert engine.closed
