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

from trainer.feedback.sandbox import attempts, values
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
    program = Program(facts + attempts.ATTEMPT + code, entry_point="attack")
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
    for wall, code in attempts.ATTACKS.items():
        reached = _reached(_run(sandbox, code, bait))
        yield WallResult(wall, not reached, ", ".join(reached))


def _leaves(sandbox: Sandbox, bait: Bait) -> Iterator[WallResult]:
    """Walls around what a program might leave behind, seen from here and from the next run."""
    _run(sandbox, attempts.WRITE, bait)
    reached = [*map(str, bait.left), *_reached(_run(sandbox, attempts.FIND_WRITTEN, bait))]
    yield WallResult("nothing written stays", not reached, ", ".join(dict.fromkeys(reached)))
    _run(sandbox, attempts.DAEMON, bait)
    daemons = [f"process {pid}" for pid in bait.processes]
    reached = daemons or _reached(_run(sandbox, attempts.FIND_DAEMON, bait))
    yield WallResult("nothing outlives its run", not reached, ", ".join(reached))


def _takes(sandbox: Sandbox) -> Iterator[WallResult]:
    """Limits of what a program may take."""
    for wall, code, expected in attempts.HOGS:
        outcome = _run(sandbox, code, None)
        yield WallResult(wall, outcome.status is expected, _unless(expected, outcome))
    outcome = _run(sandbox, attempts.SLEEP, None, replace(LIMITS, wall_seconds=1.0))
    held = outcome.status is Status.TIMEOUT
    yield WallResult("wall time is limited", held, _unless(Status.TIMEOUT, outcome))
    # Started processes are counted by the program; a sandbox may also end it.
    outcome = _run(sandbox, attempts.FORK_BOMB, None)
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
