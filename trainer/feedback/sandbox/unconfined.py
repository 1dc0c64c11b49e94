"""A sandbox without walls: each run is a plain subprocess with resource limits.

It is never chosen by itself. A program that a model wrote can read and write whatever its user
can; this is for machines that are thrown away, and for comparisons of speed.
"""

import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Self

from trainer.feedback.sandbox import supervise
from trainer.feedback.sandbox.types import Input, Limits, Outcome, Program

_BOOT = (
    "import sys; sys.path.insert(0, sys.argv[1]); "
    "from trainer.feedback.sandbox import alone; alone.main()"
)
# Not `-I`, which would ignore the hash seed, too.
_PYTHON = (sys.executable, "-P", "-s", "-S", "-B", "-c")
_ENVIRONMENT = {
    "LC_ALL": "C.UTF-8",
    "TZ": "UTC",
    "PATH": os.defpath,
    "PYTHONHASHSEED": "0",
}
_ROOT = Path(__file__).resolve().parents[3]


class UnconfinedSandbox:
    """Runs programs with the rights of this process, only their resources are limited."""

    isolation = "none"

    def __init__(self, workers: int = 0) -> None:
        self.workers = workers or len(os.sched_getaffinity(0))
        self._places = threading.Semaphore(self.workers)

    def run(self, program: Program, inputs: list[Input], limits: Limits) -> list[Outcome]:
        """Run the program on each input, every time in a fresh process; outcomes in order."""
        with self._places:
            return [_run(program, given, limits) for given in inputs]

    def close(self) -> None:
        """Nothing is kept between runs."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _run(program: Program, given: Input, limits: Limits) -> Outcome:
    nonce = secrets.token_hex(16)
    task = {"program": asdict(program), "given": asdict(given), "limits": asdict(limits)}
    told_read, told = os.pipe()
    stdout_read, stdout = os.pipe()
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as stdin:
        stdin.write(given.stdin.encode("utf-8", "surrogatepass"))
        stdin.seek(0)
        with tempfile.TemporaryFile() as request:
            request.write(json.dumps(task | {"nonce": nonce, "told": told}).encode())
            request.seek(0)
            process = subprocess.Popen(
                [*_PYTHON, _BOOT, str(_ROOT), str(request.fileno())],
                stdin=stdin,
                stdout=stdout,
                stderr=subprocess.DEVNULL,
                cwd=folder,
                env=_ENVIRONMENT | {"HOME": folder},
                pass_fds=(told, request.fileno()),
                start_new_session=True,
            )
        os.close(stdout)
        os.close(told)
        try:
            ending = supervise.watch(
                process.pid,
                stdout_read,
                told_read,
                limits,
                lambda: supervise.usage(process.pid, with_root=True),
                lambda: os.killpg(process.pid, signal.SIGKILL),
            )
        finally:
            process.returncode = -1  # its end has been waited for
            os.close(stdout_read)
            os.close(told_read)
    script = not program.entry_point and not given.check
    return supervise.judge(ending, script, nonce, limits)
