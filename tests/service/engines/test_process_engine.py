"""Several engine processes: the contract, the same scores, faults, and how they end."""

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from reward_model.release.checkpoint import load_tokenizer
from reward_model.release.release import open_release
from service.engines.engine import EngineDead
from service.engines.process_engine import ProcessEngine, load_process_engine
from service.engines.torch_engine import TorchEngine, load_torch_engine
from service.settings import Settings
from tests.checkpoints import make_checkpoint
from tests.service.engines.test_contract import (
    EngineContract,
    at_end,
    check_that_close_is_final,
    draw,
)

pytestmark = pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2,
    reason="needs two CPUs",
)
SETTINGS = Settings(device="cpu", engine_processes=2, cpu_threads=1)
BATCH = [at_end(draw(20) + draw(length)) for length in range(1, 40)]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_checkpoint(tmp_path_factory.mktemp("model"), shape={"hidden_size": 64})


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
    before = cpu_seconds(engine)
    assert engine.score(BATCH) == one.score(BATCH)
    assert all(now > then for now, then in zip(cpu_seconds(engine), before, strict=True))
    engine.serve()
    yield engine
    engine.close()


def cpu_seconds(engine: ProcessEngine) -> list[int]:
    """What each process has computed, in nanoseconds."""
    stats = [Path(f"/proc/{each.pid}/schedstat").read_text() for each in engine.processes]
    return [int(stat.split()[0]) for stat in stats]


class TestProcessEngine(EngineContract):
    @pytest.fixture
    def engine(self, served: ProcessEngine) -> ProcessEngine:
        return served

    def test_batches_side_by_side_are_computed_by_all_with_the_scores_of_one(
        self, engine: ProcessEngine, one: TorchEngine
    ) -> None:
        assert one.facts.processes == 1
        assert engine.facts.processes == engine.batching.batches_in_flight == 2
        before = cpu_seconds(engine)
        with ThreadPoolExecutor(2) as threads:
            rows = list(threads.map(engine.score, [BATCH] * 20))
        assert all(now > then for now, then in zip(cpu_seconds(engine), before, strict=True))
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
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
