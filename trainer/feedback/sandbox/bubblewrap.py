"""A sandbox of bubblewrap workers: each is one bubblewrap with a warm Python process inside."""

import json
import os
import queue
import select
import shutil
import struct
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Self

from trainer.feedback.sandbox import namespaces, zygote
from trainer.feedback.sandbox.supervise import LENIENCE
from trainer.feedback.sandbox.types import Input, Limits, Outcome, Program, Status
from trainer.pipeline.stage import StageError

NEAR = 0.8
"""From this share of the CPU limit on, a run is repeated alone."""
TRIES = 3
GRACE_SECONDS = 30.0
"""How much longer than its wall limit a run may take until its worker counts as dead."""
START_SECONDS = 60.0
_MODULES = ("child", "namespaces", "supervise", "types", "values", "zygote")
_SYSTEM = (
    "/usr/bin",
    "/usr/lib",
    "/usr/lib32",
    "/usr/lib64",
    "/usr/share/zoneinfo",
    "/etc/ld.so.cache",
)
_TOP = ("/bin", "/lib", "/lib32", "/lib64")
_DEVICES = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom")
_BOOT = (
    "import sys; sys.path.insert(0, '/worker'); "
    "from trainer.feedback.sandbox import zygote; zygote.main()"
)
ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "HOME": namespaces.HOME,
    "LC_ALL": "C.UTF-8",
    "TZ": "UTC",
    "PYTHONHASHSEED": "0",
}


class WorkerDied(Exception):
    """A worker ended, or answers no more."""


class BubblewrapSandbox:
    """Runs programs behind namespaces. `run` may be called from any number of threads.

    Args:
        workers: how many runs at a time; 0 for one on each core that this process may use.

    Raises:
        StageError: the walls cannot be built here. Nothing has been run.
    """

    isolation = "bubblewrap"

    def __init__(self, workers: int = 0) -> None:
        self.workers = workers or len(os.sched_getaffinity(0))
        # Bubblewrap dies with the thread that starts it, and a caller's thread may end early.
        self._starter = ThreadPoolExecutor(1, thread_name_prefix="sandbox-starter")
        self._slots = [_Slot(self._starter) for _ in range(self.workers)]
        self._idle: queue.LifoQueue[_Slot] = queue.LifoQueue()
        self._gathering = threading.Lock()
        try:
            for slot in self._slots:
                slot.start()
                self._idle.put(slot)
            self._probe()
        except BaseException:
            self.close()
            raise

    def run(self, program: Program, inputs: list[Input], limits: Limits) -> list[Outcome]:
        """Run the program on each input, every time in a fresh process; outcomes in order."""
        slot = self._idle.get()
        try:
            outcomes = slot.run(program, inputs, limits)
        finally:
            self._idle.put(slot)
        near = [i for i, outcome in enumerate(outcomes) if _near(outcome, limits)]
        if near:
            with self._alone() as slot:
                again = slot.run(program, [inputs[i] for i in near], limits)
            for i, outcome in zip(near, again, strict=True):
                outcomes[i] = outcome
        return outcomes

    @contextmanager
    def _alone(self) -> Iterator["_Slot"]:
        """One slot, while no other runs: how much a run costs must not depend on its neighbours."""
        taken: list[_Slot] = []
        try:
            with self._gathering:  # two that gather would wait for each other
                while len(taken) < self.workers:
                    taken.append(self._idle.get())
                yield taken[0]
        finally:
            for slot in taken:
                self._idle.put(slot)

    def _probe(self) -> None:
        """Refuse to serve if the walls do not hold."""
        (outcome,) = self.run(Program(_PROBE), [Input()], Limits())
        if outcome.status is not Status.OK or outcome.stdout != "held\n":
            raise StageError(
                "The sandbox started, but its walls do not hold, so nothing is run: "
                f"{outcome.status} {outcome.error} {outcome.stdout[:500]!r}"
            )

    def close(self) -> None:
        """End all workers with everything in them."""
        for slot in self._slots:
            slot.stop()
        self._starter.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _near(outcome: Outcome, limits: Limits) -> bool:
    """Whether the machine's load may have decided."""
    if outcome.error in ("limit: wall", "SIGKILL"):
        return outcome.error == "SIGKILL"
    share = outcome.cpu_seconds / limits.cpu_seconds
    return NEAR <= share <= LENIENCE and outcome.error != "limit: memory"


class _Slot:
    """A place for a worker. One that dies is replaced, and its run is tried again."""

    def __init__(self, starter: ThreadPoolExecutor) -> None:
        self._starter = starter
        self._worker: Worker | None = None

    def start(self) -> "Worker":
        self._worker = self._starter.submit(Worker).result()
        return self._worker

    def stop(self) -> None:
        if self._worker is not None:
            self._worker.close()
            self._worker = None

    def run(self, program: Program, inputs: list[Input], limits: Limits) -> list[Outcome]:
        outcomes: list[Outcome] = []
        failures = 0
        while len(outcomes) < len(inputs):
            try:
                worker = self._worker or self.start()
                for outcome in worker.run(program, inputs[len(outcomes) :], limits):
                    if outcome.status is Status.INFRASTRUCTURE:
                        raise WorkerDied(outcome.error)
                    outcomes.append(outcome)
                    failures = 0
            except (WorkerDied, StageError) as error:
                self.stop()
                failures += 1
                if failures == TRIES:
                    outcomes.append(Outcome(Status.INFRASTRUCTURE, error=str(error)))
                    failures = 0
        return outcomes


class Worker:
    """One bubblewrap with a zygote in it."""

    def __init__(self) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`
        self._process = subprocess.Popen(
            command(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=ENVIRONMENT | _loader_paths(),
            bufsize=0,
        )
        try:
            ready = self._read(len(zygote.READY), START_SECONDS)
        except WorkerDied:
            self._errors.seek(0)
            said = self._errors.read().decode("utf-8", "replace").strip()[-500:]
            self.close()
            raise StageError(_NO_WALLS.format(said=said or "it ended without a word")) from None
        assert ready == zygote.READY

    def run(self, program: Program, inputs: list[Input], limits: Limits) -> Iterator[Outcome]:
        """Outcomes as they come.

        Raises:
            WorkerDied: some are missing.
        """
        task = {
            "program": asdict(program),
            "inputs": [asdict(given) for given in inputs],
            "limits": asdict(limits),
        }
        frame = json.dumps(task).encode()
        stdin = self._process.stdin
        assert stdin is not None
        try:
            data = memoryview(struct.pack("<I", len(frame)) + frame)
            while data:
                data = data[stdin.write(data) :]
        except OSError as error:
            raise WorkerDied(f"a worker of the sandbox took no request: {error}") from None
        for _ in inputs:
            (size,) = struct.unpack("<I", self._read(4, limits.wall_seconds + GRACE_SECONDS))
            reply = json.loads(self._read(size, GRACE_SECONDS))
            yield Outcome(**{**reply, "status": Status(reply["status"])})

    def _read(self, size: int, seconds: float) -> bytes:
        stdout = self._process.stdout
        assert stdout is not None
        deadline = time.monotonic() + seconds
        parts = bytearray()
        while len(parts) < size:
            left = max(0.0, deadline - time.monotonic())
            if not select.select([stdout], [], [], left)[0]:
                raise WorkerDied("a worker of the sandbox answers no more")
            piece = stdout.read(size - len(parts))
            if not piece:
                raise WorkerDied("a worker of the sandbox has died")
            parts += piece
        return bytes(parts)

    def close(self) -> None:
        """End it with everything in it."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()
        self._errors.close()


def command() -> list[str]:
    """The command line of a worker.

    Its root holds the zygote with its `/proc`. Runs see only `/jail` of it: system folders, the
    interpreter without installed packages, and a few devices.
    """
    bwrap = shutil.which("bwrap")
    if bwrap is None:
        raise StageError(_NO_BWRAP)
    line = [bwrap, "--unshare-all", "--new-session", "--die-with-parent", "--cap-drop", "ALL"]
    line += ["--uid", "1000", "--gid", "1000", "--hostname", "sandbox", "--proc", "/proc"]
    prefix = Path(sys.base_prefix)
    folders = [*_SYSTEM, *(str(prefix / part) for part in ("bin", "lib", "lib64"))]
    for root in ("", zygote.ROOT):
        for folder in dict.fromkeys(folders):
            line += ["--ro-bind-try", folder, root + folder]
        for top in map(Path, _TOP):
            if top.is_symlink():
                line += ["--symlink", str(top.readlink()), f"{root}{top}"]
            else:
                line += ["--ro-bind-try", str(top), f"{root}{top}"]
        for packages in _packages():
            line += ["--tmpfs", root + packages, "--remount-ro", root + packages]
        for device in _DEVICES:
            line += ["--dev-bind", device, root + device]
    here = Path(__file__).parent
    for module in _MODULES:
        inside = f"/worker/trainer/feedback/sandbox/{module}.py"
        line += ["--ro-bind", str(here / f"{module}.py"), inside]
    line += ["--dir", zygote.ROOT + namespaces.HOME, "--chdir", "/", "--remount-ro", "/"]
    python = os.path.realpath(getattr(sys, "_base_executable", sys.executable))
    return [*line, python, "-I", "-S", "-B", "-c", _BOOT]


def _packages() -> list[str]:
    """Folders of installed packages: one of them may hold the solutions of a benchmark."""
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    base = {"base": sys.base_prefix, "platbase": sys.base_exec_prefix}
    scheme = sysconfig.get_paths("posix_prefix", vars=base)
    found = [scheme["purelib"], scheme["platlib"], "/usr/lib/python3/dist-packages"]
    found += [f"/usr/lib/{version}/site-packages"]
    return [name for name in dict.fromkeys(found) if Path(name).is_dir()]


def _loader_paths() -> dict[str, str]:
    """What a relocated interpreter may need to find its own library."""
    name = "LD_LIBRARY_PATH"
    return {name: os.environ[name]} if name in os.environ else {}


_PROBE = """
import os, socket
def refused(attempt):
    try:
        attempt()
    except OSError:
        return
    print("open:", attempt.__name__)
def network():
    socket.create_connection(("192.0.2.1", 80), 1)
def write():
    open("/usr/lib/probe", "w")
def root():
    open("/probe", "w")
refused(network), refused(write), refused(root)
if os.getppid() != 1 or os.path.exists("/proc/self"):
    print("seen:", os.getppid())
print("held")
"""

_NO_BWRAP = (
    "Programs run only behind walls, and bubblewrap is not installed here: "
    "`apt-get install bubblewrap` (or dnf, apk, pacman). SandboxFusion can be used instead "
    "(isolation: sandbox_fusion). docs/feedback.md, section Sandbox, tells more."
)
_NO_WALLS = (
    "Programs run only behind walls, and bubblewrap cannot build them here: {said}. "
    "It needs unprivileged user namespaces: `sysctl kernel.unprivileged_userns_clone=1` on Debian, "
    "`sysctl kernel.apparmor_restrict_unprivileged_userns=0` on Ubuntu 24.04 and later, and in a "
    "container a security context that permits them. docs/feedback.md, section Sandbox, tells more."
)
