"""A service to measure: one that runs already, or our own, started on a free port and stopped."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from socket import socket

import httpx

_PATIENCE = 120
"""Seconds until a service that does not get ready, or does not answer, is given up."""


@dataclass(frozen=True)
class Answer:
    """Raw scores in the order asked, None where there is none, and the tokens they stand for."""

    scores: list[float | None]
    tokens: int


@dataclass(frozen=True)
class Service:
    """A service that is ready."""

    client: httpx.Client

    def release(self) -> str:
        """Name and version of what is served."""
        served = self.client.get("/v1/models").raise_for_status().json()["data"][0]
        return f"{served['id']} {served['version']}"

    def score(self, prompt: str, candidates: Sequence[str]) -> Answer:
        """One request of the native dialect."""
        body = {"inputs": [{"prompt": prompt, "candidates": list(candidates)}]}
        answer = self.client.post("/v1/score", json=body).raise_for_status().json()
        (result,) = answer["results"]
        return Answer([row["score"] for row in result["scores"]], answer["usage"]["tokens"])


@dataclass(frozen=True)
class OwnService(Service):
    """`ready_after` is in seconds, from spawning the process until /readyz answered 200."""

    pid: int
    ready_after: float


@contextmanager
def service_at(url: str) -> Iterator[Service]:
    """A service that somebody else runs."""
    with _client(url) as client:
        yield Service(client)


@contextmanager
def own_service(model: str | None) -> Iterator[OwnService]:
    """`python -m service`, ready; serves the default release when `model` is None."""
    port = _free_port()
    command = [sys.executable, "-m", "service", "--port", str(port), "--log-level", "warning"]
    command += ["--model", model] if model else []
    with _client(f"http://127.0.0.1:{port}") as client:
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=_environment())
        try:
            _wait_until_ready(client, process)
            yield OwnService(client, process.pid, time.perf_counter() - started)
        finally:
            _stop(process)


def _client(url: str) -> httpx.Client:
    """One connection for a whole run; a proxy from the environment would be measured too."""
    return httpx.Client(base_url=url, timeout=_PATIENCE, trust_env=False)


def _environment() -> dict[str, str]:
    """Ours without the service's settings, so that the command line says how it was run."""
    return {name: value for name, value in os.environ.items() if not name.startswith("REWARD_")}


def _wait_until_ready(client: httpx.Client, process: "subprocess.Popen[bytes]") -> None:
    give_up = time.monotonic() + _PATIENCE
    while time.monotonic() < give_up:
        if process.poll() is not None:
            raise RuntimeError(f"the service ended with {process.returncode}; its log is above")
        with suppress(httpx.TransportError):
            if client.get("/readyz").status_code == httpx.codes.OK:
                return
        time.sleep(0.02)
    raise RuntimeError(f"the service was not ready within {_PATIENCE} s")


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(timeout=60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _free_port() -> int:
    with socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
