"""The rest of what may go wrong: each costs what it must, and never a score.

Engine faults, hangs, NaN and lack of memory: `test_native`, `test_watchdog`, `test_batcher`,
`engines/test_torch_engine`. Slow bodies: `test_middleware`, `test_server`. Signals: `test_process`.
vLLM's own process killed: `test_vllm_engine`.
"""

import asyncio
import json
import time
from pathlib import Path

import pytest

from service.errors import CannotLoad
from service.scoring.model import open_model
from tests.releases import make_release
from tests.service.fakes import GatedEngine, raw_score, running, starting
from tests.service.test_process import score, started

WEIGHTS = "model.safetensors"
BODY = json.dumps({"inputs": [{"prompt": "p", "candidates": ["left"] * 8}]}).encode()
REQUEST = {"type": "http.request", "body": BODY, "more_body": False}
GONE = {"type": "http.disconnect"}


async def test_a_storm_of_clients_that_leave_costs_nobody_anything() -> None:
    engine = GatedEngine()
    async with running(engine, max_queue_items=10_000) as app:
        first = asyncio.create_task(app.score("prompt", "a"))
        await engine.begins()
        await asyncio.gather(*(raw_score(app.app, REQUEST, GONE) for _ in range(200)))
        stayed = asyncio.create_task(app.score("prompt", "bb"))
        while 'reward_queue_items{priority="interactive"} 2.0' not in (  # noqa: ASYNC110
            (await app.client.get("/metrics")).text
        ):
            await asyncio.sleep(0)  # such a request waits for nothing, and lets nobody else work
        engine.go_on.release(2)
        answers = [(await one).json() for one in (first, stayed)]
    assert [one["results"][0]["scores"][0]["score"] for one in answers] == [7.0, 8.0]
    assert sum(map(len, engine.batches)) == 2, "what nobody awaits is not computed"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
async def test_a_disk_that_is_full_for_logs_costs_no_answer(tmp_path: Path) -> None:
    (tmp_path / "log").symlink_to("/dev/full")
    async with started(tmp_path, "tests.service.gated_service", "--log-level", "debug") as service:
        await service.ready()
        async with service.client() as client:
            answering = asyncio.create_task(score(client, "a"))
            assert await service.line() == "batch\n"
            service.go_on()
            answer = await answering
        service.terminate()
        assert await service.exit_code() == 0
    assert answer.json()["results"][0]["scores"][0]["score"] == 7.0


@pytest.mark.parametrize("jump", [-1e6, 1e6])
async def test_a_clock_that_jumps_changes_no_deadline(
    monkeypatch: pytest.MonkeyPatch, jump: float
) -> None:
    engine, wall = GatedEngine(), time.time
    async with running(engine) as app:
        answering = asyncio.create_task(app.score("prompt", "a", timeout_ms=20_000))
        await engine.begins()
        monkeypatch.setattr(time, "time", lambda: wall() + jump)
        later = asyncio.create_task(app.score("prompt", "bb", timeout_ms=20_000))
        engine.go_on.release(2)
        answers = [await answering, await later]
    assert [answer.status_code for answer in answers] == [200, 200]


async def test_a_corrupt_release_that_is_swapped_in_changes_nothing(tmp_path: Path) -> None:
    good, bad = make_release(tmp_path / "good"), make_release(tmp_path / "bad")
    damaged = bytearray((bad / WEIGHTS).read_bytes())
    damaged[-1] ^= 1
    (bad / WEIGHTS).write_bytes(damaged)
    wrong = make_release(tmp_path / "wrong", golden_error=1.0)
    async with starting(open_model, model=str(good), device="cpu") as app:
        await app.service.started()
        before = (await app.score("prompt", "a")).json()
        for source, reason in ((bad, r"model\.safetensors"), (wrong, "not reproduced")):
            with pytest.raises(CannotLoad, match=reason):
                await app.service.load(str(source), "other", current=True)
        after = (await app.score("prompt", "a")).json()
        listed = (await app.client.get("/v1/models")).json()["data"]
    assert before["results"] == after["results"]
    assert [one["id"] for one in listed] == ["test-rm"]
