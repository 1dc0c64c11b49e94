"""Runs a program in a process of its own and says whether it came to its end.

For programs of known origin that may loop, recurse, allocate or write without end. It keeps them
from the caller's packages, environment and files by accident; it is no wall against malice.
"""

import os
import secrets
import signal
import subprocess
import sys
from contextlib import suppress
from tempfile import TemporaryDirectory, TemporaryFile

SECONDS = 4.0

# -P, -s and an empty environment are what -I stands for. -I itself would ignore the hash seed, and
# without it the order of a set, and with it a verdict, could differ from run to run.
_ISOLATED = ("-P", "-s", "-S", "-X", "utf8")
_ENVIRONMENT = {"PYTHONHASHSEED": "0"}

_LIMITS = {
    "RLIMIT_CPU": int(SECONDS) + 1,  # behind the clock on the wall, for what outlives the caller
    "RLIMIT_AS": 1 << 30,
    "RLIMIT_FSIZE": 1 << 20,
    "RLIMIT_NPROC": 0,  # counts for users other than root
    "RLIMIT_CORE": 0,
}
# The child bounds itself before it reads the program: limits set between fork and exec would run
# Python in a copy of a process that has threads.
_CHILD = f"""
import resource, sys
for name, most in {_LIMITS!r}.items():
    try:
        resource.setrlimit(getattr(resource, name), (most, most))
    except (AttributeError, OSError, ValueError):
        pass  # not every system has every limit
exec(compile(sys.stdin.read(), "program", "exec"), {{"__name__": "__main__"}})
"""


def comes_to_its_end(program: str, seconds: float = SECONDS) -> bool:
    """Whether a program ran through within `seconds` and exited with 0.

    The last thing printed must be a word the program cannot know, so that leaving early with
    success does not count.
    """
    word = secrets.token_hex(16)
    with TemporaryDirectory() as folder, TemporaryFile() as output:
        process = subprocess.Popen(
            [sys.executable, *_ISOLATED, "-c", _CHILD],
            stdin=subprocess.PIPE,
            stdout=output,  # a file, because the size of a file is bounded and a pipe's is not
            stderr=subprocess.DEVNULL,
            cwd=folder,
            env=_ENVIRONMENT,
            start_new_session=True,
        )
        _finish(process, f"{program}\nprint({word!r})\n", seconds)
        output.seek(0)
        return process.returncode == 0 and output.read().rstrip().endswith(word.encode())


def _finish(process: "subprocess.Popen[bytes]", program: str, seconds: float) -> None:
    """Wait for it, and leave nothing behind of it or of what it started."""
    try:
        process.communicate(program.encode(), timeout=seconds)
    except subprocess.TimeoutExpired:
        pass
    finally:
        with suppress(ProcessLookupError, PermissionError):  # macOS has the second for a zombie
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
