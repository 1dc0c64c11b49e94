"""An engine that never comes back costs its own batch, and for a while readiness; nothing else."""

import asyncio
import threading

from reward_model.packing import Sequence
from service.scoring.model import Model
from service.settings import Settings
from tests.service.fakes import FakeEngine, Running, model, starting

TIMEOUT = {"engine_timeout_seconds": 0.2}


class Hanging(FakeEngine):
    """Does not come back from a text that ends in `!`, until the test ends."""

    def __init__(self, over: threading.Event) -> None:
        super().__init__()
        self._over = over

    def score(self, batch: list[Sequence]) -> list[list[float]]:
        if any(bytes(sequence.ids).endswith(b"!") for sequence in batch):
            assert self._over.wait(60)
        return super().score(batch)


async def until_ready(app: Running) -> None:
    async with asyncio.timeout(20):
        while (await app.client.get("/readyz")).status_code != 200:  # noqa: ASYNC110
            await asyncio.sleep(0)  # such a request waits for nothing, and lets nobody else work


async def test_its_items_fail_and_the_model_is_loaded_again() -> None:
    over, opened = threading.Event(), list[Settings]()

    def opener(settings: Settings) -> Model:
        opened.append(settings)
        return model(Hanging(over))

    async with starting(opener, **TIMEOUT) as app:
        await app.service.started()
        async with asyncio.timeout(20):
            hung = await app.score("prompt", "!")
        await until_ready(app)
        after = await app.score("prompt", "a")
        over.set()
    (item,) = hung.json()["results"][0]["scores"]
    assert (item["score"], item["error"]["code"]) == (None, "engine_error")
    assert after.json()["results"][0]["scores"][0]["score"] == 7.0
    assert len(opened) == 2
    assert app.service.refusal is None
    assert app.service.stuck, "the thread that hung would hold up the exit"


async def test_the_third_time_it_ends() -> None:
    over = threading.Event()
    async with starting(lambda _: model(Hanging(over)), **TIMEOUT) as app:
        await app.service.started()
        for _ in range(2):
            await app.score("prompt", "!")
            await until_ready(app)
        await app.score("prompt", "!")
        assert app.service.refusal == "the engine hung 3 times"
        over.set()


async def test_one_that_cannot_be_loaded_again_ends_the_service() -> None:
    over, engines = threading.Event(), [Hanging(threading.Event())]
    engines[0]._over = over

    async with starting(lambda _: model(engines.pop()), **TIMEOUT) as app:
        await app.service.started()
        await app.score("prompt", "!")
        async with asyncio.timeout(20):
            while app.service.refusal is None:  # noqa: ASYNC110
                await asyncio.sleep(0)
        assert "cannot be loaded again: IndexError" in app.service.refusal
        over.set()


async def test_what_comes_while_it_hangs_is_answered_too() -> None:
    over = threading.Event()
    async with starting(lambda _: model(Hanging(over)), **TIMEOUT) as app:
        await app.service.started()
        async with asyncio.timeout(20):
            answers = await asyncio.gather(*(app.score("prompt", f"{n}!") for n in range(20)))
        over.set()
    outcomes = [answer.json() for answer in answers]
    assert all("results" in one or one["error"]["code"] == "not_ready" for one in outcomes)
