"""Server processes that end with the process that started them."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

# A process of its own, which sees its standard input end when ours is gone, however that ended:
# nobody else would stop a server that holds gigabytes.
_GUARD = """
import os, signal, sys, time
sys.stdin.buffer.read()
for sign in (signal.SIGTERM, signal.SIGKILL):
    try:
        os.killpg(int(sys.argv[1]), sign)
    except ProcessLookupError:
        break
    time.sleep(10)
"""


@contextmanager
def guarded(process: "subprocess.Popen[bytes]", seconds: float) -> Iterator[None]:
    """End a process and its group with the context, and also if our own process is killed.

    Args:
        process: leads a session of its own.
        seconds: until it is killed, if it does not end after SIGTERM.
    """
    guard = subprocess.Popen(
        [sys.executable, "-c", _GUARD, str(process.pid)],
        stdin=subprocess.PIPE,
        # Who reads our output would otherwise wait for the guard, too.
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        # Only then: it must not signal a group whose number somebody else may have by then.
        guard.kill()
        guard.communicate()
