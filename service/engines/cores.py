"""Which CPU cores each of several engine processes computes on, and how many are left to others."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from service.engines.engine import EngineUnavailable

# Tests replace this root.
_CPUS = Path("/sys/devices/system/cpu")

# From this many cores on, one of them is left to the HTTP process. All threads of a forward wait
# for the slowest one, so a core that also encodes texts slows down all cores of its process.
_CORES_FOR_ONE_LEFT_OUT = 16

Core = tuple[int, ...]
"""The CPUs of one physical core, as the kernel numbers them; two where it has hyper-threads."""


@dataclass(frozen=True, slots=True)
class CoreShare:
    """The share of the CPUs that one engine process computes on.

    Attributes:
        threads: those of its forward.
        cpus: where the kernel may run them; empty where it cannot be told that.
    """

    threads: int
    cpus: tuple[int, ...]


def share_cores(processes: int, threads: int, encode_threads: int) -> tuple[list[CoreShare], bool]:
    """Divide the cores that this process may use among engine processes.

    A share is a range of cores in the order of their NUMA nodes. So memory that a process takes
    once it is bound to its share is near its cores, and no two processes share a core.

    Args:
        threads: of each process, as the settings say; 0 for as many as its share has cores.
        encode_threads: at most this many cores are left out, if `threads` is 0.

    Returns:
        The shares, and whether all cores are taken, so that encoding runs on those of a process.

    Raises:
        EngineUnavailable: there are fewer CPUs than processes or threads.
    """
    bindable = hasattr(os, "sched_setaffinity")
    cpus = os.sched_getaffinity(0) if bindable else range(os.cpu_count() or 1)
    if processes * max(1, threads) > len(cpus):
        each = f", with --cpu-threads {threads} in each," if threads else ""
        raise EngineUnavailable(
            f"--engine-processes {processes}{each} needs {processes * max(1, threads)} CPUs, and "
            f"this process may use {len(cpus)}. Choose fewer, or give it more CPUs."
        )
    cores = physical_cores(cpus)
    if len(cores) < processes:
        cores = [(cpu,) for core in cores for cpu in core]
    bounds = [len(cores) * each // processes for each in range(processes + 1)]
    parts = [cores[start:end] for start, end in pairwise(bounds)]
    left_out = 0 if threads else min(encode_threads, len(cores) // _CORES_FOR_ONE_LEFT_OUT)
    for _ in range(left_out):
        largest = max(parts, key=len)
        if len(largest) > 1:
            largest.pop()
    shares = [
        CoreShare(threads or len(part), tuple(cpu for core in part for cpu in core) * bindable)
        for part in parts
    ]
    return shares, sum(share.threads for share in shares) >= len(cores)


def physical_cores(cpus: Iterable[int]) -> list[Core]:
    """Group CPUs by physical core, and sort the cores by NUMA node.

    Where the kernel does not say which CPUs are one core, each counts as a core.
    """
    cores: dict[tuple[int, str], list[int]] = {}
    for cpu in sorted(cpus):
        folder = _CPUS / f"cpu{cpu}"
        try:
            siblings = (folder / "topology/thread_siblings_list").read_text().strip()
        except OSError:
            siblings = str(cpu)
        nodes = [int(node.name.removeprefix("node")) for node in folder.glob("node[0-9]*")]
        cores.setdefault((min(nodes, default=0), siblings), []).append(cpu)
    return [
        tuple(core) for _, core in sorted(cores.items(), key=lambda item: (item[0][0], item[1]))
    ]
