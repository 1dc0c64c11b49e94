"""The warm Python process of a worker: it forks each run, watches it and tells its outcome.

It runs inside of one bubblewrap, has imported what programs usually import, and never executes
anything of a program itself. Requests come on its standard input, outcomes leave on its standard
output; no run inherits either.

This module imports only the standard library and its neighbours.
"""

import gc
import importlib
import json
import math
import os
import random
import signal
import struct
import sys
from dataclasses import asdict
from pathlib import Path

from trainer.feedback.sandbox import child, namespaces, supervise
from trainer.feedback.sandbox.types import Input, Limits, Outcome, Program, Status

ROOT = "/jail"
"""What runs see as `/`. The zygote's own `/proc` lies beside it, out of their reach."""
STDIN = f"{namespaces.HOME}/.stdin"
"""Where `/dev/stdin` leads, for programs that open it: without `/proc` it cannot lead to
descriptor 0."""
MOST_DESCRIPTORS = 1 << 16
READY = b"ready\n"
PRELOADED = (
    "abc array ast base64 bisect calendar cmath collections contextlib copy csv dataclasses "
    "datetime decimal enum fractions functools heapq inspect io itertools json math "
    "numbers operator pprint queue random re statistics string sys textwrap threading time "
    "types typing unicodedata"
)


def main() -> None:
    """Answer requests until the parent closes them."""
    requests, replies = os.dup(0), os.dup(1)
    os.environ.pop("PWD", None)  # it is bubblewrap's
    user, core = sys.argv[1:]
    if core != "None":
        os.sched_setaffinity(0, {int(core)})
    if int(user) != os.getuid():
        namespaces.become(int(user))
    for name in PRELOADED.split():
        importlib.import_module(name)
    sys.set_int_max_str_digits(0)
    namespaces.prepare()
    null = os.open("/dev/null", os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    gc.collect()
    gc.freeze()
    _write(replies, READY)
    while (frame := read_frame(requests)) is not None:
        task = json.loads(frame)
        program, limits = Program(**task["program"]), Limits(**task["limits"])
        for given in task["inputs"]:
            outcome = isolated(program, Input(**given), limits)
            reply = json.dumps(asdict(outcome)).encode()
            _write(replies, struct.pack("<I", len(reply)) + reply)


def read_frame(descriptor: int) -> bytes | None:
    """A message behind its length; None at the end."""
    header = _read(descriptor, 4)
    return None if header is None else _read(descriptor, struct.unpack("<I", header)[0])


def _read(descriptor: int, size: int) -> bytes | None:
    parts = bytearray()
    while len(parts) < size:
        piece = os.read(descriptor, min(size - len(parts), 1 << 20))
        if not piece:
            return None
        parts += piece
    return bytes(parts)


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def isolated(program: Program, given: Input, limits: Limits) -> Outcome:
    """Run a program once, in namespaces of its own."""
    nonce = os.urandom(16).hex()
    stdin = os.memfd_create("stdin", os.MFD_CLOEXEC)
    _write(stdin, given.stdin.encode("utf-8", "surrogatepass"))
    os.lseek(stdin, 0, os.SEEK_SET)
    stdout_read, stdout = os.pipe()
    told_read, told = os.pipe()
    failed_read, failed = os.pipe()
    user, group = os.getuid(), os.getgid()
    pid = namespaces.fork_isolated()
    if pid == 0:
        try:
            namespaces.enter(ROOT, user, group, limits)
            if "/dev/stdin" in program.code:
                Path(STDIN).write_bytes(given.stdin.encode("utf-8", "surrogatepass"))
            os.dup2(stdin, 0)
            os.dup2(stdout, 1)
            teller = child.Teller(os.dup2(told, 3, inheritable=False), nonce)
            namespaces.set_limits(limits, math.ceil(limits.cpu_seconds * supervise.LENIENCE) + 1)
        except BaseException as error:  # noqa: BLE001 - it is told, and the process ends here
            _write(failed, f"{type(error).__name__}: {error}".encode()[:400])
            os._exit(1)
        os.closerange(4, MOST_DESCRIPTORS)
        if "random" in program.setup + program.code + given.check:
            random.seed(os.urandom(16))
        child.run(program, given, teller)
    for descriptor in (stdin, stdout, told, failed):
        os.close(descriptor)
    ending = supervise.watch(
        pid,
        stdout_read,
        told_read,
        limits,
        lambda: supervise.usage(supervise.own_pid(), with_root=False),
        lambda: os.kill(pid, signal.SIGKILL),
    )
    failure = os.read(failed_read, 512)
    for descriptor in (stdout_read, told_read, failed_read):
        os.close(descriptor)
    if failure:
        return Outcome(Status.INFRASTRUCTURE, error=failure.decode())
    script = not program.entry_point and not given.check
    return supervise.judge(ending, script, nonce, limits)
