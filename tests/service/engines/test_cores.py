"""How CPU cores are divided among engine processes."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.engines import cores
from service.engines.cores import CoreShare, physical_cores, share_cores
from service.engines.engine import EngineUnavailable

pytestmark = pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="needs Linux")


def have(monkeypatch: pytest.MonkeyPatch, root: Path, cpus: int, nodes: int = 1) -> None:
    """Have as many CPUs, two of each core, numbered as on a usual server: siblings far apart."""
    monkeypatch.setattr(cores, "_CPUS", root)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cpus)))
    half = cpus // 2
    for cpu in range(cpus):
        core = cpu % half
        folder = root / f"cpu{cpu}"
        (folder / "topology").mkdir(parents=True)
        (folder / f"node{core * nodes // half}").mkdir()
        (folder / "topology/thread_siblings_list").write_text(f"{core},{core + half}\n")


def test_a_process_has_whole_cores_of_one_node(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    have(monkeypatch, tmp_path, 16, nodes=2)
    shares, shares_cores = share_cores(2, 0, encode_threads=2)
    assert shares == [
        CoreShare(4, (0, 8, 1, 9, 2, 10, 3, 11)),
        CoreShare(4, (4, 12, 5, 13, 6, 14, 7, 15)),
    ]
    assert shares_cores


@pytest.mark.parametrize(
    ("cpus", "processes", "encode_threads", "threads"),
    [
        (32, 2, 2, [8, 7]),
        (128, 4, 2, [16, 16, 15, 15]),
        (128, 4, 1, [16, 16, 16, 15]),
        (96, 5, 8, [9, 9, 9, 9, 9]),
        (32, 16, 2, [1] * 16),
    ],
)
def test_encoding_is_left_a_core_of_every_sixteen(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    cpus: int,
    processes: int,
    encode_threads: int,
    threads: list[int],
) -> None:
    have(monkeypatch, tmp_path, cpus)
    shares, shares_cores = share_cores(processes, 0, encode_threads)
    assert sorted((share.threads for share in shares), reverse=True) == threads
    assert shares_cores == (sum(threads) == cpus // 2)


def test_threads_that_are_set_are_those_of_each_process(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    have(monkeypatch, tmp_path, 32)
    shares, shares_cores = share_cores(2, 3, encode_threads=2)
    assert [(share.threads, len(share.cpus)) for share in shares] == [(3, 16), (3, 16)]
    assert not shares_cores


def test_more_threads_than_cpus_are_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    have(monkeypatch, tmp_path, 8)
    assert share_cores(2, 4, 2)[0] == [
        CoreShare(4, (0, 4, 1, 5)),
        CoreShare(4, (2, 6, 3, 7)),
    ]
    with pytest.raises(EngineUnavailable, match=r"-processes 9 needs 9 CPUs.* may use 8\."):
        share_cores(9, 0, 2)
    with pytest.raises(EngineUnavailable, match=r"with --cpu-threads 5 in each, needs 10 CPUs"):
        share_cores(2, 5, 2)


def test_where_the_kernel_says_nothing_each_cpu_is_a_core(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(cores, "_CPUS", tmp_path)
    assert physical_cores({7, 2, 10}) == [(2,), (7,), (10,)]


@given(st.sets(st.integers(0, 300), min_size=1), st.integers(1, 40), st.integers(1, 4))
def test_no_cpu_has_two_processes_and_no_process_has_none(
    cpus: set[int], processes: int, encode_threads: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "sched_getaffinity", lambda _: cpus)
        patch.setattr(cores, "_CPUS", Path("/none"))
        if processes > len(cpus):
            return
        shares, _ = share_cores(processes, 0, encode_threads)
    taken = [cpu for share in shares for cpu in share.cpus]
    assert len(taken) == len(set(taken))
    assert set(taken) <= cpus
    assert len(cpus) - len(taken) <= min(encode_threads, len(cpus) // 16)
    sizes = [share.threads for share in shares]
    assert min(sizes) >= 1
    assert max(sizes) - min(sizes) <= 1
