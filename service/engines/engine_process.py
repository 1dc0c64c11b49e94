"""One engine in a process of its own: how it is started, asked and ended.

What runs in it is `engine_child`. Both sides send the messages below as pickles over a socket that
nobody else can reach.
"""

import logging
import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TypeVar

from reward_model.packing import Sequence
from reward_model.release.release import Release, ReleaseError
from service.engines.cores import CoreShare
from service.engines.engine import (
    BatchingHints,
    EngineDead,
    EngineFacts,
    EngineUnavailable,
    OutOfMemory,
)

_ROOT = Path(__file__).resolve().parents[2]

# Seconds in which a process must have ended by itself once its connection is closed.
_END_SECONDS = 5

# Errors that keep their type on the way from the process; all others arrive as a RuntimeError.
_ERRORS = {
    error.__name__: error
    for error in (
        *(ReleaseError, EngineUnavailable, EngineDead, OutOfMemory),
        *(MemoryError, ValueError),
    )
}


@dataclass(frozen=True, slots=True)
class Load:
    """Asks for an engine of this release, in place of the one that the process has.

    Attributes:
        settings: as JSON.
    """

    settings: str
    release: Release


@dataclass(frozen=True, slots=True)
class WarmUp:
    """Asks for `Engine.warm_up`."""


@dataclass(frozen=True, slots=True)
class Score:
    """Asks for `Engine.score`."""

    batch: list[Sequence]


@dataclass(frozen=True, slots=True)
class EngineState:
    """Answers `Load` and `WarmUp`: what the engine is and wants, as in `Engine`."""

    facts: EngineFacts
    batching: BatchingHints


@dataclass(frozen=True, slots=True)
class Rows:
    """Answers `Score`."""

    rows: list[list[float]]


@dataclass(frozen=True, slots=True)
class Failed:
    """Answers anything: the error that it raised."""

    error: str
    message: str


Request = Load | WarmUp | Score
Reply = EngineState | Rows | Failed
ReplyT = TypeVar("ReplyT", EngineState, Rows)


class EngineProcess:
    """A process with one engine, which is asked one thing at a time.

    It ends when this process does, however that ends, and when the thread that made it ends.
    """

    def __init__(self, number: int, share: CoreShare) -> None:
        ours, theirs = socket.socketpair()
        self._connection = Connection(ours.detach())
        # Only what the settings in `Load` say counts there.
        kept = {n: text for n, text in os.environ.items() if not n.upper().startswith("REWARD_")}
        paths = os.pathsep.join(filter(None, (str(_ROOT), kept.get("PYTHONPATH"))))
        # OpenMP's own variable would win over what torch makes of the share.
        threads = {"OMP_NUM_THREADS": str(share.threads)}
        level = logging.getLevelName(logging.getLogger().level)
        cpus = ",".join(map(str, share.cpus))
        with theirs:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-P", "-m", "service.engines.engine_child"),
                    *(str(theirs.fileno()), str(number), level, cpus),
                ],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env=kept | threads | {"PYTHONPATH": paths},
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def end(self) -> str | None:
        """How the process ended, as a sentence; None while it runs."""
        code = self._process.poll()
        if code is None:
            return None
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
        hint = ", as the system does when memory runs out" if code == -signal.SIGKILL else ""
        return f"Engine process {self._process.pid} {how}{hint}."

    def send(self, request: Request) -> None:
        """Ask for something; `receive` has the answer.

        Raises:
            EngineDead: the process has ended.
        """
        try:
            self._connection.send(request)
        except OSError as error:
            raise self._dead() from error

    def receive(self) -> Reply:
        """Wait for the answer to what was asked last.

        Raises:
            EngineDead: the process has ended.
        """
        try:
            reply: Reply = self._connection.recv()
        except (EOFError, OSError) as error:
            raise self._dead() from error
        return reply

    def begin_close(self) -> None:
        """Let the process end; `close` waits for it."""
        self._connection.close()

    def close(self) -> None:
        """End the process, and return when it has ended."""
        self.begin_close()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _dead(self) -> EngineDead:
        # The socket closes a moment before the process has ended.
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_SECONDS)
        return EngineDead(self.end or f"Engine process {self._process.pid} answers no more.")


def value_of(reply: Reply, kind: type[ReplyT]) -> ReplyT:
    """Return the answer, or raise the error that it tells of."""
    if isinstance(reply, Failed):
        if error := _ERRORS.get(reply.error):
            raise error(reply.message)
        raise RuntimeError(f"{reply.error}: {reply.message}")
    assert isinstance(reply, kind)
    return reply
