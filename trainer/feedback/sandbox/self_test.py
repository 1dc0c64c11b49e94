"""Tries the walls of a sandbox from inside, and says which of them hold.

Each wall has a program that really tries to get through. It returns the names of what it reached,
so a wall holds if the run ended well with an empty list, or was ended by the limit that is tried.
"""

import contextlib
import os
import secrets
import signal
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from trainer.feedback.sandbox import values
from trainer.feedback.sandbox.open import SandboxConfig, open_sandbox
from trainer.feedback.sandbox.types import Input, Limits, Outcome, Program, Sandbox, Status
from trainer.pipeline.stage import StageError

LIMITS = Limits(cpu_seconds=0.5, wall_seconds=5.0, memory_bytes=256 << 20, processes=8)


@dataclass(frozen=True)
class WallResult:
    """Whether a wall holds, and what was reached if it does not."""

    wall: str
    holds: bool
    reached: str = ""


@dataclass(frozen=True)
class Bait:
    """What the programs look for on this machine.

    Attributes:
        token: part of every name, so that what is found is ours.
        folder: holds a file `secret` and a socket `socket`, and can be written to.
        port: a TCP port of the loopback interface that accepts connections.
    """

    token: str
    folder: Path
    port: int

    @property
    def places(self) -> list[str]:
        """Folders in which the programs try to leave a file."""
        own = [str(self.folder), str(Path.cwd()), str(Path.home())]
        names = ("", "usr", "usr/lib", "etc", "tmp", "var/tmp", "dev", "dev/shm", "run")
        return [*own, *(f"/{name}" for name in names)]

    @property
    def left(self) -> list[Path]:
        """Files of the programs that lie on this machine."""
        return [path for place in self.places if (path := Path(place) / self.token).exists()]

    @property
    def processes(self) -> list[int]:
        """Processes of the programs that run on this machine."""
        found = []
        for name in Path("/proc").glob("[0-9]*/comm"):
            with contextlib.suppress(OSError):
                if name.read_text().strip() == self.token:
                    found.append(int(name.parent.name))
        return found


def examine_walls(config: SandboxConfig) -> list[WallResult]:
    """Open the sandbox and try its walls.

    Raises:
        StageError: it cannot be opened.
    """
    with _bait() as bait:
        os.environ[f"WALLS_{bait.token}"] = bait.token
        try:
            with open_sandbox(config) as sandbox:
                return [*_reaches(sandbox, bait), *_leaves(sandbox, bait), *_takes(sandbox)]
        finally:
            del os.environ[f"WALLS_{bait.token}"]
            for path in bait.left:
                path.unlink()
            for pid in bait.processes:
                os.kill(pid, signal.SIGKILL)


def require_walls(config: SandboxConfig) -> str:
    """A table of the walls that hold.

    Raises:
        StageError: some do not; the message has the table, too.
    """
    found = examine_walls(config)
    width = max(len(each.wall) for each in found)
    lines = [
        f"{'holds' if each.holds else 'OPEN '}  {each.wall:<{width}}  {each.reached}".rstrip()
        for each in found
    ]
    table = "\n".join(lines)
    broken = sum(not each.holds for each in found)
    if broken:
        raise StageError(
            f"{broken} of {len(found)} walls of isolation={config.isolation} do not hold:\n"
            f"{table}\nRun no program that a model wrote with it; docs/feedback.md, section "
            "Sandbox, tells what each wall needs"
        )
    return f"{table}\nAll {len(found)} walls of isolation={config.isolation} hold."


@contextlib.contextmanager
def _bait() -> Iterator[Bait]:
    token = f"walls-{secrets.token_hex(4)}"  # the kernel cuts names of processes at 15 bytes
    with (
        tempfile.TemporaryDirectory(prefix=token) as folder,
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(socket.AF_UNIX) as named,
        socket.socket(socket.AF_UNIX) as abstract,
    ):
        Path(folder, "secret").write_text(token)
        named.bind(f"{folder}/socket")
        named.listen()
        abstract.bind(f"\0{token}")
        abstract.listen()
        yield Bait(token, Path(folder), tcp.getsockname()[1])


def _run(sandbox: Sandbox, code: str, bait: Bait | None, limits: Limits = LIMITS) -> Outcome:
    facts = ""
    if bait:
        facts = f"TOKEN, FOLDER, PORT, TRAINER, PLACES = {bait.token!r}, {str(bait.folder)!r}, "
        facts += f"{bait.port}, {os.getpid()}, {bait.places!r}\n"
    program = Program(facts + _ATTEMPT + code, entry_point="attack")
    (outcome,) = sandbox.run(program, [Input()], limits)
    return outcome


def _reached(outcome: Outcome) -> list[str]:
    """Names of what a program reached; how it ended, if it could not tell them."""
    if outcome.status is Status.OK:
        value = values.decode(outcome.value)
        if isinstance(value, list):
            return [str(name) for name in value]
    return [f"the attempt ended with {outcome.status} ({outcome.error})"]


def _reaches(sandbox: Sandbox, bait: Bait) -> Iterator[WallResult]:
    """Walls around what a program might reach."""
    for wall, code in _ATTACKS.items():
        reached = _reached(_run(sandbox, code, bait))
        yield WallResult(wall, not reached, ", ".join(reached))


def _leaves(sandbox: Sandbox, bait: Bait) -> Iterator[WallResult]:
    """Walls around what a program might leave behind, seen from here and from the next run."""
    _run(sandbox, _WRITE, bait)
    reached = [*map(str, bait.left), *_reached(_run(sandbox, _FIND_WRITTEN, bait))]
    yield WallResult("nothing written stays", not reached, ", ".join(dict.fromkeys(reached)))
    _run(sandbox, _DAEMON, bait)
    daemons = [f"process {pid}" for pid in bait.processes]
    reached = daemons or _reached(_run(sandbox, _FIND_DAEMON, bait))
    yield WallResult("nothing outlives its run", not reached, ", ".join(reached))


def _takes(sandbox: Sandbox) -> Iterator[WallResult]:
    """Limits of what a program may take."""
    for wall, code, expected in _HOGS:
        outcome = _run(sandbox, code, None)
        yield WallResult(wall, outcome.status is expected, _unless(expected, outcome))
    outcome = _run(sandbox, _SLEEP, None, replace(LIMITS, wall_seconds=1.0))
    held = outcome.status is Status.TIMEOUT
    yield WallResult("wall time is limited", held, _unless(Status.TIMEOUT, outcome))
    # Started processes are counted by the program; a sandbox may also end it.
    outcome = _run(sandbox, _FORK_BOMB, None)
    count = values.decode(outcome.value) if outcome.status is Status.OK else 0
    held = isinstance(count, int) and count <= LIMITS.processes
    yield WallResult("a fork bomb is bounded", held, "" if held else f"{count} processes")
    (outcome,) = sandbox.run(Program("print(6 * 7)"), [Input()], LIMITS)
    held = (outcome.status, outcome.stdout) == (Status.OK, "42\n")
    yield WallResult("the next program runs", held, _unless(Status.OK, outcome))


def _unless(expected: Status, outcome: Outcome) -> str:
    if outcome.status is expected:
        return ""
    return f"it ended with {outcome.status} ({outcome.error})"


_ATTEMPT = """
import ctypes, os, socket
reached = []
def attempt(name, function, *arguments):
    try:
        value = function(*arguments)
    except Exception:
        return
    if value != -1:  # of a system call
        reached.append(name)
"""

_ATTACKS = {
    "no network": """
def attack():
    for address in (("127.0.0.1", PORT), ("192.0.2.1", 80)):
        attempt("%s:%d" % address, socket.create_connection, address, 0.5)
    attempt("a packet", socket.socket(type=2).sendto, b"x", ("192.0.2.1", 53))
    attempt("a name", socket.gethostbyname, "example.com")
    attempt("a socket in a file", socket.socket(socket.AF_UNIX).connect, FOLDER + "/socket")
    attempt("an abstract socket", socket.socket(socket.AF_UNIX).connect, "\\0" + TOKEN)
    for name in ("AF_NETLINK", "AF_PACKET", "AF_VSOCK"):
        attempt(name, socket.socket, getattr(socket, name), socket.SOCK_RAW)
        attempt(name, socket.socket, getattr(socket, name))
    return reached
""",
    "no file of the user": """
def attack():
    for path in (FOLDER + "/secret", "/proc/%d/root%s/secret" % (TRAINER, FOLDER)):
        attempt(path, open, path)
    os.symlink(FOLDER + "/secret", "/tmp/" + TOKEN + "-link")
    attempt("a link to a file", open, "/tmp/" + TOKEN + "-link")
    os.unlink("/tmp/" + TOKEN + "-link")
    return reached
""",
    "no variable of the user": """
def attack():
    reached.extend(name for name in os.environ if TOKEN in name)
    for pid in (1, os.getppid(), TRAINER):
        try:
            if TOKEN.encode() in open("/proc/%d/environ" % pid, "rb").read():
                reached.append("/proc/%d/environ" % pid)
        except OSError:
            pass
    return reached
""",
    "no other process": """
def attack():
    own = (os.getpid(), os.getppid(), 1)
    if os.path.isdir("/proc"):
        others = [name for name in os.listdir("/proc") if name.isdecimal() and int(name) not in own]
        reached.extend("process " + name for name in others[:3])
    if TRAINER not in own:
        attempt("a signal to the trainer", os.kill, TRAINER, 0)
    attempt("the memory of the trainer", open, "/proc/%d/mem" % TRAINER, "rb")
    return reached
""",
    "no descriptor of the sandbox": """
def attack():
    for number in range(4, 1024):
        attempt("descriptor %d" % number, os.fstat, number)
    return reached
""",
    "no namespaces or mounts": """
def attack():
    libc = ctypes.CDLL(None, use_errno=True)
    if os.fork() == 0:  # what works happens to a process that ends
        if libc.mount(b"none", b"/", b"no file system", 0, None) and ctypes.get_errno() == 19:
            reached.append("")  # only who may mount is told that there is no such file system
        attempt("", libc.unshare, 0x10020000)
        os._exit(len(reached))
    count = os.waitstatus_to_exitcode(os.wait()[1])
    return ["%d of 2 calls" % count] if count else []
""",
    "no privileges": """
def attack():
    libc = ctypes.CDLL(None)
    if libc.prctl(39, 0, 0, 0, 0) != 1:
        reached.append("no_new_privs is off")
    header, data = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    libc.capget(header, data)
    if any(data):
        reached.append("capabilities")
    if os.getuid() == 0:
        reached.append("user 0")
    attempt("tracing", libc.ptrace, 0x4206, os.getppid(), 0, 0)  # which stops nobody
    return reached
""",
}
"""Name of a wall -> program that tries to get through it."""

_WRITE = """
def attack():
    for place in PLACES:
        attempt(place, open, place + "/" + TOKEN, "w")
    return reached
"""
_FIND_WRITTEN = """
def attack():
    return [place + "/" + TOKEN for place in PLACES if os.path.exists(place + "/" + TOKEN)]
"""
_DAEMON = """
import signal, time
def attack():
    if os.fork() == 0:
        os.setsid()
        signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
        ctypes.CDLL(None).prctl(15, TOKEN.encode(), 0, 0, 0)
        if os.fork():
            os._exit(0)
        os.closerange(0, 64)
        time.sleep(30)
        os._exit(0)
    time.sleep(0.1)
    return []
"""
_FIND_DAEMON = """
import glob
def attack():
    for name in glob.glob("/proc/[0-9]*/comm"):
        try:
            if open(name).read().strip() == TOKEN:
                reached.append(name)
        except OSError:
            pass
    return reached
"""
_SLEEP = "import time\ndef attack(): time.sleep(30)"
_FORK_BOMB = """
import signal, time
def attack():
    first, (read, write) = os.getpid(), os.pipe()
    for _ in range(8):  # up to 256 processes, should nothing bound them
        try:
            os.fork()
        except OSError:
            pass
    os.write(write, b"x")
    if os.getpid() != first:
        time.sleep(0.5)
        os._exit(0)
    time.sleep(0.3)
    return len(os.read(read, 1024))
"""
_HOGS = (
    ("CPU time is limited", "def attack():\n    while True: pass", Status.TIMEOUT),
    (
        "memory is limited",
        "def attack():\n    rows = []\n    while True: rows.append(bytearray(1 << 20))",
        Status.MEMORY,
    ),
    (
        "output is limited",
        "def attack():\n    while True: print('x' * 65536)",
        Status.OUTPUT_LIMIT,
    ),
)
