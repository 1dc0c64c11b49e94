"""A service of our own to measure: started on a free port, stopped in the end."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from socket import socket

import httpx

_PATIENCE = 120


@dataclass(frozen=True)
class Running:
    """`ready_after` is in seconds, from spawning the process to /readyz answering 200."""

    url: str
    pid: int
    ready_after: float


@contextmanager
def running_service(model: str | None) -> Iterator[Running]:
    """`python -m service`, ready; with the default release when `model` is None."""
    port = _free_port()
    command = [sys.executable, "-m", "service", "--port", str(port), "--log-level", "warning"]
    command += ["--model", model] if model else []
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=dict(os.environ))
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_until_ready(url, process)
        yield Running(url, process.pid, time.perf_counter() - started)
    finally:
        process.terminate()
        process.wait(timeout=60)


def _wait_until_ready(url: str, process: "subprocess.Popen[bytes]") -> None:
    give_up = time.monotonic() + _PATIENCE
    while time.monotonic() < give_up:
        if process.poll() is not None:
            raise RuntimeError(f"the service ended with {process.returncode}; its log is above")
        with suppress(httpx.TransportError):
            if httpx.get(f"{url}/readyz").status_code == httpx.codes.OK:
                return
        time.sleep(0.02)
    raise RuntimeError(f"the service was not ready within {_PATIENCE} s")


def _free_port() -> int:
    with socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
