import mmap
from pathlib import Path

import pytest
import torch

from service.engines import memory
from service.engines.engine import EngineUnavailable
from tests.checkpoints import make_checkpoint

CPU = torch.device("cpu")


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Roots of /proc and of the control groups that a test fills itself."""
    (tmp_path / "memory").mkdir()
    (tmp_path / "meminfo").write_text("MemTotal: 9000 kB\nMemAvailable:    8000 kB\n")
    monkeypatch.setattr(memory, "_PROC", tmp_path)
    monkeypatch.setattr(memory, "_CGROUP", tmp_path)
    return tmp_path


def test_a_machine_without_limits_has_what_is_available(system: Path) -> None:
    assert memory.free_bytes(CPU) == 8000 * 1024
    (system / "memory.max").write_text("max\n")
    (system / "memory.current").write_text("5\n")
    assert memory.free_bytes(CPU) == 8000 * 1024


def test_a_container_has_what_its_limit_leaves(system: Path) -> None:
    (system / "memory.max").write_text("5000\n")
    (system / "memory.current").write_text("2000\n")
    assert memory.free_bytes(CPU) == 3000


def test_files_that_the_kernel_keeps_in_memory_count_as_free(system: Path) -> None:
    (system / "memory.max").write_text("5000\n")
    (system / "memory.current").write_text("4000\n")
    (system / "memory.stat").write_text("anon 1000\nfile 3000\ninactive_file 2500\n")
    assert memory.free_bytes(CPU) == 3500


def test_the_older_control_groups_are_read_too(system: Path) -> None:
    (system / "memory/memory.limit_in_bytes").write_text("5000\n")
    (system / "memory/memory.usage_in_bytes").write_text("7000\n")
    assert memory.free_bytes(CPU) == 0


def test_where_the_system_says_nothing_nothing_is_known(system: Path) -> None:
    (system / "meminfo").unlink()
    assert memory.free_bytes(CPU) is None
    assert memory.tokens_that_fit(CPU, lambda: None, 1) is None


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux")
def test_what_a_batch_takes_is_measured() -> None:
    def compute() -> None:
        with mmap.mmap(-1, 64 * 2**20) as block:
            for page in range(0, len(block), mmap.PAGESIZE):
                block[page] = 1

    fit, free = memory.tokens_that_fit(CPU, compute, 64), memory.free_bytes(CPU)
    assert fit is not None
    assert free is not None
    assert 0.3 * free / 2**20 < fit < 0.9 * free / 2**20


def test_weights_that_cannot_fit_are_refused_with_both_numbers(
    system: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    checkpoint = make_checkpoint(tmp_path_factory.mktemp("large"))
    memory.require_room(checkpoint, CPU, 4)
    (system / "meminfo").write_text("MemAvailable: 20 kB\n")
    with pytest.raises(EngineUnavailable, match=r"need 0\.\d\d GB of memory and 0\.00 GB are free"):
        memory.require_room(checkpoint, CPU, 4)
    (system / "meminfo").write_text("MemAvailable: 20 kB\nSwapFree: 8000 kB\n")
    memory.require_room(checkpoint, CPU, 4)


def test_every_process_that_holds_weights_needs_room_for_them(
    system: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    checkpoint = make_checkpoint(tmp_path_factory.mktemp("large"))
    (system / "meminfo").write_text("MemAvailable: 300 kB\n")
    memory.require_room(checkpoint, CPU, 4)
    with pytest.raises(EngineUnavailable, match=r"0\.00 GB are free .*, 32 processes take them\)"):
        memory.require_room(checkpoint, CPU, 4, copies=32)


def test_files_that_are_in_use_may_make_room_for_weights(
    system: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    checkpoint = make_checkpoint(tmp_path_factory.mktemp("large"))
    (system / "memory.max").write_text("2000000\n")
    (system / "memory.current").write_text("1999999\n")
    (system / "memory.stat").write_text("inactive_file 5\nactive_file 1500000\n")
    assert memory.free_bytes(CPU) == 6
    memory.require_room(checkpoint, CPU, 4)


def test_weights_that_cannot_be_read_are_left_to_loading(system: Path) -> None:
    (system / "model.safetensors").write_bytes(b"no tensors")
    memory.require_room(system, CPU, 4)
