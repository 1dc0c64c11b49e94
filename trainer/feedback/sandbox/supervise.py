"""Watching one run from outside: its output is drained, its limits are kept, its end is judged.

Both kinds of walls use it: the zygote inside of bubblewrap, and the plain subprocess. It imports
only the standard library.
"""

import os
import select
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from trainer.feedback.sandbox import values
from trainer.feedback.sandbox.types import Limits, Outcome, Status

LENIENCE = 1.5
"""A run is ended at this many times its CPU limit. One that ends by itself between four fifths of
the limit and here is repeated alone; one that does not end is a time-out at once."""
PATIENCE = 9
"""Time without a core does not count against the wall limit, up to this many times the limit."""
TOTAL_MEMORY = 2
"""Resident memory of all processes of a run together, in limits of one process."""
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
STALE = 0.2
"""Longest time between two looks at a run, in seconds."""

BROKEN = {
    "cpu": Status.TIMEOUT,
    "wall": Status.TIMEOUT,
    "memory": Status.MEMORY,
    "output": Status.OUTPUT_LIMIT,
    "processes": Status.EXCEPTION,
}
CLAIMS = frozenset(["ok", "exception", "memory", "output_limit", "compile"])


@dataclass(frozen=True)
class Usage:
    """What the living processes of a run have used, and resident bytes and threads now.

    Attributes:
        starved_seconds: the longest time that one of them was ready to run, but had no core.
    """

    cpu_seconds: float
    starved_seconds: float
    resident: int
    threads: int

    def beyond(self, limits: Limits, wall_seconds: float) -> str:
        """The limit that it breaks, if any."""
        if wall_seconds - min(self.starved_seconds, limits.wall_seconds * PATIENCE) > (
            limits.wall_seconds
        ):
            return "wall"
        if self.cpu_seconds > limits.cpu_seconds * LENIENCE:
            return "cpu"
        if self.resident > limits.memory_bytes * TOTAL_MEMORY:
            return "memory"
        # The kernel counts these too, but its limit does not bind root.
        return "processes" if self.threads > limits.processes else ""


@dataclass
class Ending:
    """How a run ended, before it is judged."""

    broken: str = ""
    stdout: bytearray = field(default_factory=bytearray)
    told: bytearray = field(default_factory=bytearray)
    wait_status: int = 0
    cpu_seconds: float = 0.0
    wall_seconds: float = 0.0
    peak_memory: int = 0


def watch(
    pid: int,
    stdout: int,
    told: int,
    limits: Limits,
    look: Callable[[], Usage],
    kill: Callable[[], None],
) -> Ending:
    """Drain a run until it ends or breaks a limit, and end it with all its processes."""
    ending = Ending()
    started = time.monotonic()
    alive = os.pidfd_open(pid)
    poll = select.poll()
    sinks = {stdout: ending.stdout, told: ending.told}
    for descriptor in (alive, *sinks):
        poll.register(descriptor, select.POLLIN)
    looked, wait = started, 0.02
    while not ending.broken:
        events = {descriptor for descriptor, _ in poll.poll(wait * 1000)}
        for descriptor in events & sinks.keys():
            piece = os.read(descriptor, 1 << 16)
            sinks[descriptor] += piece
            if not piece:
                poll.unregister(descriptor)
            if len(sinks[descriptor]) > limits.output_bytes:
                ending.broken = "output"
        if alive in events:
            break
        now = time.monotonic()
        if now - looked >= wait and not ending.broken:
            used = look()
            ending.cpu_seconds = max(ending.cpu_seconds, used.cpu_seconds)
            ending.broken = used.beyond(limits, now - started)
            looked, wait = now, min(STALE, wait * 1.5)
    kill()
    _, ending.wait_status, resources = os.wait4(pid, 0)
    os.close(alive)
    ending.wall_seconds = time.monotonic() - started
    ending.cpu_seconds = max(ending.cpu_seconds, resources.ru_utime + resources.ru_stime)
    ending.peak_memory = resources.ru_maxrss * 1024
    if not ending.broken:
        _drain(sinks, ending, limits.output_bytes)
    return ending


def own_pid() -> int:
    """This process as `/proc` counts, which may be that of an outer namespace."""
    return int(Path("/proc/self").readlink().name)


def usage(root: int, *, with_root: bool) -> Usage:
    """CPU time and resident memory of all descendants of a process, with or without itself."""
    parents: dict[int, int] = {}
    used: dict[int, tuple[int, int, int, int]] = {}
    for process in Path("/proc").iterdir():
        if not process.name.isdecimal():
            continue
        try:
            fields = (process / "stat").read_bytes().rpartition(b")")[2].split()
            waited = int((process / "schedstat").read_bytes().split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
        pid = int(process.name)
        parents[pid] = int(fields[1])
        used[pid] = sum(map(int, fields[11:15])), waited, int(fields[21]), int(fields[17])
    cpu, starved, resident, threads = 0, 0, 0, 0
    for pid, (ticks, waited, pages, alike) in used.items():
        above: int | None = pid
        while above is not None and above != root:
            above = parents.get(above)
        if above == root and (with_root or pid != root):
            cpu += ticks
            starved = max(starved, waited)
            resident += pages
            threads += alike
    return Usage(cpu / _TICKS, starved / 1e9, resident * _PAGE, threads)


def _drain(sinks: dict[int, bytearray], ending: Ending, most: int) -> None:
    """Read what the pipes still hold; nobody waits for a process that keeps one open."""
    for descriptor, sink in sinks.items():
        os.set_blocking(descriptor, False)
        try:
            while len(sink) <= most and (piece := os.read(descriptor, 1 << 16)):
                sink += piece
        except BlockingIOError:
            continue
        if len(sink) > most:
            ending.broken = "output"


def judge(ending: Ending, script: bool, nonce: str, limits: Limits) -> Outcome:
    """The outcome, from what was seen and from what the run claims."""
    status, value, error = _verdict(ending, script, nonce, limits)
    return Outcome(
        status=status,
        stdout=ending.stdout[: limits.output_bytes].decode("utf-8", "replace"),
        value=value,
        error=error,
        cpu_seconds=round(ending.cpu_seconds, 6),
        peak_memory=ending.peak_memory,
    )


def _verdict(ending: Ending, script: bool, nonce: str, limits: Limits) -> tuple[Status, str, str]:
    """Status, value and error."""
    if ending.broken:
        return BROKEN[ending.broken], "", f"limit: {ending.broken}"
    if ending.cpu_seconds > limits.cpu_seconds:
        return Status.TIMEOUT, "", "limit: cpu"
    claim = _claim(bytes(ending.told), nonce)
    if claim is not None:
        status, text = claim
        if status is Status.OK:
            try:
                values.decode(text)
            except values.Malformed:
                return Status.EXCEPTION, "", "a claim without a value"
            # A script's proof is its exit, so it has no reason to claim anything.
            return (Status.EXCEPTION, "", "a false claim") if script else (status, text, "")
        return status, "", text[:200]
    code = os.waitstatus_to_exitcode(ending.wait_status)
    if code == -signal.SIGXCPU:
        return Status.TIMEOUT, "", "limit: cpu"
    if code == -signal.SIGKILL:
        # The kernel does that to a process when memory runs out.
        return Status.MEMORY, "", "SIGKILL"
    if code < 0:
        return Status.EXCEPTION, "", f"signal {-code}"
    if script and code == 0:
        return Status.OK, "", ""
    return Status.EXCEPTION, "", f"exit status {code}" if script else "it ended without a value"


def _claim(told: bytes, nonce: str) -> tuple[Status, str] | None:
    """The first whole message with the nonce, if its status is one that a run may claim."""
    for line in told.decode("utf-8", "replace").split("\n")[:-1]:
        given, _, rest = line.partition(" ")
        status, _, text = rest.partition(" ")
        if given == nonce and status in CLAIMS:
            return Status(status), text
    return None
