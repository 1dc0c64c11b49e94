"""Several engine processes: the contract, the same scores, faults, and how they end."""

import asyncio
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import torch
from safetensors.torch import load_file, save_file

from reward_model.packing import Sequence
from reward_model.release.checkpoint import load_tokenizer
from reward_model.release.release import ReleaseError, open_release
from service.engines.engine import EngineDead
from service.engines.process_engine import ProcessEngine, load_process_engine
from service.engines.torch_engine import TorchEngine, load_torch_engine
from service.errors import ItemError
from service.scheduling.isolation import score_isolated
from service.scoring.model import Model, open_model
from service.settings import Settings
from tests.checkpoints import make_checkpoint
from tests.releases import make_release
from tests.service.engines.test_contract import (
    EngineContract,
    at_end,
    check_that_close_is_final,
    draw,
)
from tests.service.fakes import model, starting
from tests.service.test_process import PATIENCE, score, started

pytestmark = pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2,
    reason="needs two CPUs",
)
SETTINGS = Settings(device="cpu", engine_processes=2, cpu_threads=1)
BATCH = [at_end(draw(20) + draw(length)) for length in range(1, 40)]


POISON = 9
"""A token of which the checkpoint knows nothing but NaN."""


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = make_checkpoint(tmp_path_factory.mktemp("model"), shape={"hidden_size": 64})
    weights = load_file(path / "model.safetensors")
    weights["model.embed_tokens.weight"][POISON] = torch.nan
    save_file(weights, path / "model.safetensors", metadata={"format": "pt"})
    return path


@pytest.fixture(scope="module")
def one(checkpoint: Path) -> TorchEngine:
    """The same model in this process."""
    release = open_release(checkpoint)
    settings = SETTINGS.model_copy(update={"engine_processes": 1})
    return load_torch_engine(release, load_tokenizer(release), settings)


@pytest.fixture(scope="module")
def served(checkpoint: Path, one: TorchEngine) -> Iterator[ProcessEngine]:
    """Proven on one batch, which every process must have computed."""
    engine = load_process_engine(open_release(checkpoint), SETTINGS)
    engine.warm_up()
    before = cpu_time(engine)
    assert engine.score(BATCH) == one.score(BATCH)
    assert all(now > then for now, then in zip(cpu_time(engine), before, strict=True))
    engine.serve()
    yield engine
    engine.close()


def embeddings(engine: TorchEngine) -> torch.Tensor:
    weight = engine.network.model.get_input_embeddings().weight
    assert isinstance(weight, torch.Tensor)
    return weight


def children_of(pid: int) -> set[int]:
    """Its engine processes; whatever else it may have started is none of ours."""
    found = psutil.Process(pid).children()
    return {each.pid for each in found if "service.engines.engine_child" in each.cmdline()}


def runs(pid: int) -> bool:
    """Not so once it has ended, even where nobody has asked for its exit code yet."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def started_by_us() -> set[int]:
    return children_of(os.getpid())


def cpu_time(engine: ProcessEngine) -> list[int]:
    """What each process has computed, in nanoseconds."""
    stats = [Path(f"/proc/{each.pid}/schedstat").read_text() for each in engine.processes]
    return [int(stat.split()[0]) for stat in stats]


class TestProcessEngine(EngineContract):
    @pytest.fixture
    def engine(self, served: ProcessEngine) -> ProcessEngine:
        return served

    def test_a_text_at_fault_costs_no_other_text(
        self, engine: ProcessEngine, one: TorchEngine
    ) -> None:
        unknown = Sequence((*draw(9), len(embeddings(one))), (9,))
        poisoned = at_end((*draw(9), POISON))
        first, fault, middle, nan, last = score_isolated(
            engine, [BATCH[0], unknown, BATCH[1], poisoned, BATCH[2]]
        ).results
        assert isinstance(fault, ItemError)
        assert fault.text_at_fault
        assert isinstance(nan, ItemError)
        assert nan.code == "non_finite"
        expected = [tuple(row) for row in one.score(BATCH[:3])]
        assert [first, middle, last] == [pytest.approx(row, abs=1e-5) for row in expected]

    def test_batches_side_by_side_are_computed_by_all_with_the_scores_of_one(
        self, engine: ProcessEngine, one: TorchEngine
    ) -> None:
        assert one.facts.processes == 1
        assert engine.facts.processes == engine.batching.batches_in_flight == 2
        before = cpu_time(engine)
        with ThreadPoolExecutor(2) as threads:
            rows = list(threads.map(engine.score, [BATCH] * 20))
        assert all(now > then for now, then in zip(cpu_time(engine), before, strict=True))
        assert rows == [one.score(BATCH)] * 20


def test_one_that_is_killed_ends_the_engine_and_leaves_no_other(checkpoint: Path) -> None:
    engine = load_process_engine(open_release(checkpoint), SETTINGS)
    pids = [each.pid for each in engine.processes]
    try:
        engine.serve()
        assert engine.end_reason is None
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)  # so that its batch does not end before it does
        with ThreadPoolExecutor(2) as threads:
            scoring = [threads.submit(engine.score, BATCH) for _ in pids]
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
            for score in scoring:
                with pytest.raises(EngineDead, match="was ended by SIGKILL, as the system does"):
                    score.result(20)
        assert str(pids[0]) in str(engine.end_reason)
        with pytest.raises(EngineDead, match=str(pids[0])):
            engine.score(BATCH)
    finally:
        check_that_close_is_final(engine)
    assert engine.end_reason is None
    assert not any(map(runs, pids))


def test_a_release_that_cannot_be_loaded_says_why_and_leaves_nothing(checkpoint: Path) -> None:
    release = replace(open_release(checkpoint), path=checkpoint / "moved")
    before = started_by_us()
    with pytest.raises(ReleaseError, match="moved"):
        load_process_engine(release, SETTINGS)
    assert started_by_us() == before


async def test_a_model_that_comes_later_has_processes_of_its_own_until_it_goes(
    tmp_path: Path,
) -> None:
    before, release = started_by_us(), make_release(tmp_path / "later")

    def opener(settings: Settings) -> Model:
        return open_model(settings) if settings.model == str(release) else model()

    settings = SETTINGS.model_dump(include=SETTINGS.model_fields_set)
    async with starting(opener, model="first", **settings) as app:
        await app.service.started()
        loaded = await app.service.load(str(release), "later", current=True)
        assert len(started_by_us() - before) == 2
        assert (await app.score("prompt", "a", "b", model="later")).status_code == 200
        models = (await app.client.get("/v1/models")).json()["data"]
        assert [each["engine_processes"] for each in models] == [1, 2]
        await app.service.unload(loaded.key)
        assert started_by_us() == before
        assert app.service.unready is None


async def test_processes_end_with_a_service_that_is_killed(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (keys := tmp_path / "keys").write_text(f"team sha256:{'0' * 64}\n")
    monkeypatch.setenv("REWARD_API_KEYS_FILE", str(keys))
    flags = ("--model", str(checkpoint), "--engine-processes", "2", "--device", "cpu")
    async with started(tmp_path, "service", *flags) as service:
        await service.ready()
        pids = children_of(service.process.pid)
        assert len(pids) == 2
        for pid in pids:
            assert not any(name.startswith("REWARD_") for name in psutil.Process(pid).environ())
        service.process.kill()
        await service.exit_code()
        async with asyncio.timeout(PATIENCE):
            while any(map(runs, pids)):  # noqa: ASYNC110
                await asyncio.sleep(0.01)


async def test_signals_to_the_whole_group_let_it_drain(checkpoint: Path, tmp_path: Path) -> None:
    """As Ctrl-C at a terminal does, and a supervisor that signals every process of a service."""
    flags = ("--model", str(checkpoint), "--engine-processes", "2", "--device", "cpu")
    async with started(tmp_path, "service", *flags, preexec_fn=os.setsid) as service:
        await service.ready()
        async with service.client() as client:
            assert (await score(client, "candidate")).status_code == 200
        pids = children_of(service.process.pid)
        os.killpg(service.process.pid, signal.SIGTERM)
        assert await service.exit_code() == 0
    assert not any(map(runs, pids))
    assert "died" not in service.log.read_text()
