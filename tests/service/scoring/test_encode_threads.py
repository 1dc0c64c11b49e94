"""However much bulk work is to be encoded, interactive work finds a thread."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from service.scoring.encode_threads import EncodeThreads


@asynccontextmanager
async def encoding(
    count: int = 2, interactive: Callable[[], bool] = lambda: False
) -> AsyncIterator[EncodeThreads]:
    threads = EncodeThreads(count, interactive)
    yield threads
    threads.shutdown()


async def test_a_flood_of_bulk_work_leaves_a_thread_to_interactive_work() -> None:
    go_on = threading.Event()
    async with encoding(count=2) as threads, asyncio.timeout(10):
        flood = [asyncio.create_task(threads.run("bulk", go_on.wait)) for _ in range(50)]
        await asyncio.sleep(0)
        assert await threads.run("interactive", lambda: "encoded") == "encoded"
        assert not any(task.done() for task in flood)
        go_on.set()
        assert all(await asyncio.gather(*flood))


async def test_with_one_thread_interactive_work_waits_for_one_slice_at_most() -> None:
    done: list[str] = []
    async with encoding(count=1) as threads, asyncio.timeout(10):
        flood = [
            asyncio.create_task(threads.run("bulk", lambda: done.append("bulk"))) for _ in range(9)
        ]
        await asyncio.sleep(0)
        await threads.run("interactive", lambda: done.append("interactive"))
        await asyncio.gather(*flood)
    assert done.index("interactive") <= 1
    assert len(done) == 10


@pytest.mark.parametrize(
    ("here", "shares_cores", "rests"),
    [(True, True, True), (True, False, False), (False, True, False)],
)
async def test_bulk_work_rests_while_interactive_work_is_here_if_it_takes_its_cores(
    monkeypatch: pytest.MonkeyPatch, here: bool, shares_cores: bool, rests: bool
) -> None:
    rested: list[float] = []

    async def sleep(seconds: float) -> None:
        rested.append(seconds)

    async with encoding(interactive=lambda: here) as threads:
        monkeypatch.setattr("service.scoring.encode_threads.asyncio.sleep", sleep)
        await threads.run("interactive", lambda: None, rests=shares_cores)
        assert not rested, "interactive work never does"
        await threads.run("bulk", lambda: None, rests=shares_cores)
    assert [seconds > 0 for seconds in rested] == [True] * rests
