"""Server processes: started on a free port, waited for, watched, and stopped whatever happens."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from socket import socket
from tempfile import TemporaryFile
from types import FrameType
from typing import IO, NoReturn

import httpx
import psutil

from benchmarks.harness.stats import slope

PATIENCE = 120.0
"""Seconds until a service that does not get ready, or does not answer, is given up."""

_LOG_TAIL = 4000
_STOP_SECONDS = 60

# With these a forward is measured with the memory that it has when served.
MALLOC = {
    "MALLOC_TRIM_THRESHOLD_": "2147483647",
    "MALLOC_MMAP_THRESHOLD_": "2147483647",
    "MALLOC_ARENA_MAX": "1",
}

# All of what scripts/serve sets; threads that wait for each other sleep after a moment.
SERVED = {**MALLOC, "OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "2000"}

Process = subprocess.Popen[bytes]


@dataclass(frozen=True)
class Launch:
    """How a server is started: `--port N` is put after `command`.

    Attributes:
        ready: the path that answers 200 when it can be measured.
        environment: variables it gets unless they are set already.
        patience: seconds it may take to get ready.
    """

    command: tuple[str, ...]
    ready: str
    environment: Mapping[str, str] = field(default_factory=dict)
    patience: float = PATIENCE


@dataclass(frozen=True)
class Running:
    """A server that is ready; `ready_after` is in seconds, from spawning it until it was."""

    url: str
    pid: int
    ready_after: float


@contextmanager
def running(launch: Launch, keep: IO[bytes] | None = None) -> Iterator[Running]:
    """The server, ready; it and its children are gone afterwards, also when we are terminated.

    Args:
        keep: a file, open for reading and writing, that gets what the server writes.

    Raises:
        RuntimeError: it ended, or was not ready in time; with the end of what it wrote.
    """
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with terminable(), nullcontext(keep) if keep else TemporaryFile() as log:
        started = time.perf_counter()
        process = subprocess.Popen(
            [*launch.command, "--port", str(port)],
            stdout=log,
            stderr=log,
            env=_environment(launch),
            start_new_session=True,
        )
        try:
            _wait_until_ready(url + launch.ready, launch.patience, process, log)
            yield Running(url, process.pid, time.perf_counter() - started)
        finally:
            _stop(process)


def run_as_served() -> None:
    """Run this program again with `SERVED` set, which counts only when a process starts.

    Servers that it starts inherit that. A variable that is set already is left as it is.
    """
    if not SERVED.keys() <= os.environ.keys():
        again = subprocess.run(sys.orig_argv, env={**SERVED, **os.environ}, check=False)
        sys.exit(again.returncode)


@contextmanager
def terminable() -> Iterator[None]:
    """SIGTERM raises here instead of ending us at once, so that nothing is left behind."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may say how signals are handled
        return
    previous = signal.signal(signal.SIGTERM, _leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _leave(number: int, _frame: FrameType | None) -> NoReturn:
    signal.signal(number, signal.SIG_IGN)  # a second one must not interrupt the stopping
    raise SystemExit(128 + number)


def _environment(launch: Launch) -> dict[str, str]:
    """Ours without our service's settings, so that the command line says how it was run."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("REWARD_")}
    return {**launch.environment, **ours}


def _wait_until_ready(url: str, patience: float, process: Process, log: IO[bytes]) -> None:
    give_up = time.monotonic() + patience
    with httpx.Client(timeout=patience, trust_env=False) as client:
        while time.monotonic() < give_up:
            if process.poll() is not None:
                raise RuntimeError(f"{_tail(log)}\nthe server ended with {process.returncode}")
            with suppress(httpx.TransportError):
                if client.get(url).status_code == httpx.codes.OK:
                    return
            time.sleep(0.02)
    raise RuntimeError(f"{_tail(log)}\nthe server was not ready within {patience:.0f} s")


def _tail(log: IO[bytes]) -> str:
    size = log.seek(0, os.SEEK_END)
    log.seek(max(0, size - _LOG_TAIL))
    return log.read().decode(errors="replace")


def _stop(process: Process) -> None:
    """Asked first; then whatever is left of its process group is killed."""
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout=_STOP_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def free_port() -> int:
    with socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def resident(pid: int) -> float:
    """MB (10^6 bytes) of the process and its children; pages that several share count in each."""
    try:
        process = psutil.Process(pid)
        tree = [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0.0
    total = 0
    for member in tree:
        with suppress(psutil.NoSuchProcess):
            total += member.memory_info().rss
    return total / 1e6


def peak(pid: int) -> float | None:
    """Most MB that this process alone ever held, loading included; None where it is not known."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return None
    kibibytes = [int(line.split()[1]) for line in lines if line.startswith("VmHWM:")]
    return kibibytes[0] * 1024 / 1e6 if kibibytes else None


@dataclass
class Memory:
    """(Seconds since the watch began, MB resident), as long as it is watched."""

    samples: list[tuple[float, float]] = field(default_factory=list)

    @property
    def max(self) -> float:
        return max(megabytes for _, megabytes in self.samples)


@contextmanager
def watching(pid: int, every: float = 0.25) -> Iterator[Memory]:
    """Sample the memory of a process tree in the background; there is always one sample."""
    memory, over, began = Memory(), threading.Event(), time.perf_counter()

    def watch() -> None:
        while True:
            memory.samples.append((time.perf_counter() - began, resident(pid)))
            if over.wait(every):
                return

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield memory
    finally:
        over.set()
        thread.join()


@dataclass(frozen=True)
class Steady:
    """Resident MB once settled; `growth` per minute, as a share of the minimum."""

    min: float
    max: float
    growth: float


def settle(memory: Memory) -> Steady:
    """Summarise the samples after the first minute or, in a shorter run, of its second half."""
    last, _ = memory.samples[-1]
    later = [sample for sample in memory.samples if sample[0] >= min(60.0, last / 2)]
    megabytes = [megabytes for _, megabytes in later]
    lowest = min(megabytes)
    return Steady(lowest, max(megabytes), 60 * slope(later) / lowest)
