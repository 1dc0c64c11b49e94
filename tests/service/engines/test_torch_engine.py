"""Warm-up, memory, faults. That its scores are right: tests/service/test_parity.py."""

import math
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from reward_model.network import Launched, Prepared
from reward_model.packing import Sequence
from reward_model.release.checkpoint import load_tokenizer
from reward_model.release.release import open_release
from service.engines.engine import EngineDead, OutOfMemory
from service.engines.torch_engine import TorchEngine, load_torch_engine
from service.errors import ItemError
from service.scheduling.isolation import score_isolated
from service.settings import Settings
from tests.checkpoints import make_checkpoint

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def engine(tmp_path: Path) -> TorchEngine:
    release = open_release(make_checkpoint(tmp_path / "model"))
    tokenizer = load_tokenizer(release)
    return load_torch_engine(release, tokenizer, Settings(device="cpu"))


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux to measure")
def test_it_knows_once_warm_how_much_fits(engine: TorchEngine) -> None:
    engine.warm_up()
    assert (engine.batching.memory_limit_tokens or math.inf) > engine.facts.max_tokens


@pytest.mark.parametrize(
    "fault",
    [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried ...")],
)
def test_a_lack_of_memory_is_told_from_other_faults(
    engine: TorchEngine, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    def fail(_: object) -> list[list[float]]:
        raise fault

    monkeypatch.setattr(engine.network, "launch", fail)
    with pytest.raises(OutOfMemory):
        engine.score([Sequence((1,), (0,))])
    fault = RuntimeError("mat1 and mat2 shapes cannot be multiplied")
    with pytest.raises(RuntimeError, match="shapes"):
        engine.score([Sequence((1,), (0,))])


@pytest.mark.parametrize(
    "fault",
    [
        torch.AcceleratorError("CUDA error: an illegal memory access was encountered", 700),
        RuntimeError("CUDA error: device-side assert triggered"),
    ],
)
def test_a_gpu_whose_context_is_lost_is_a_dead_engine(
    engine: TorchEngine, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    def fail(_: object) -> list[list[float]]:
        raise fault

    monkeypatch.setattr(engine.network, "launch", fail)
    with pytest.raises(EngineDead, match="new process"):
        engine.score([Sequence((1,), (0,))])


def test_a_text_on_which_the_forward_fails_costs_no_other_text(engine: TorchEngine) -> None:
    known = [Sequence((5, 6, 7, 8), (3,)), Sequence((5, 6, 9), (2,)), Sequence((11,), (0,))]
    expected = [tuple(row) for row in engine.score(known)]
    rows = engine.network.model.get_input_embeddings().weight
    assert isinstance(rows, torch.Tensor)
    unknown = Sequence((5, 6, len(rows)), (2,))
    first, bad, *others = score_isolated(engine, [known[0], unknown, *known[1:]]).results
    assert isinstance(bad, ItemError)
    assert bad.text_at_fault
    assert [first, *others] == [pytest.approx(row, abs=1e-5) for row in expected]


def test_batches_side_by_side_are_computed_one_by_one(
    engine: TorchEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a GPU: what the network computes is never computed beside something else."""
    launch, alone = engine.network.launch, threading.Semaphore(1)

    def guarded(prepared: Prepared) -> Launched:
        assert alone.acquire(blocking=False), "two batches at once"
        try:
            return launch(prepared)
        finally:
            alone.release()

    monkeypatch.setattr(engine.network, "launch", guarded)
    batches = [[Sequence(tuple(range(5, 9 + i)), (3 + i,))] for i in range(40)]
    expected = [engine.network.score(batch) for batch in batches]
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(engine.score, batches)) == expected


_CRAMPED = """
import resource, sys
from pathlib import Path
from reward_model.release.checkpoint import load_tokenizer
from reward_model.packing import Sequence
from reward_model.release.release import open_release
from service.engines.engine import OutOfMemory
from service.engines.torch_engine import load_torch_engine
from service.settings import Settings

release = open_release(Path(sys.argv[1]))
settings = Settings(device="cpu", cpu_threads=1)
engine = load_torch_engine(release, load_tokenizer(release), settings)
engine.warm_up()
small = [Sequence((1, 2), (1,))]
large = [Sequence((n // 30, n % 30, *range(30)), (31,)) for n in range(900)]
before = engine.score(small)
held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (held + 30_000_000, resource.RLIM_INFINITY))
try:
    engine.score(large)
except OutOfMemory:
    assert engine.score(small) == before
    print("survived")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits the address space as Linux does")
def test_a_real_lack_of_memory_is_survived(tmp_path: Path) -> None:
    model = make_checkpoint(tmp_path / "model", shape={"intermediate_size": 65_536})
    run = subprocess.run(
        [sys.executable, "-c", _CRAMPED, str(model)],
        capture_output=True,
        check=False,
        text=True,
        cwd=ROOT,
        timeout=120,
    )
    assert run.stdout == "survived\n", run.stderr
