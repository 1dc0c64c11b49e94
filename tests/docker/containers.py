"""Containers started as a cluster would: no root, no capability, nothing writable but /tmp."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from benchmarks.harness.processes import free_port
from benchmarks.image_start import RESTRICTED

# Named by scripts/test-image, which has just built them: one that merely lies here may be old.
SERVICE, TRAINER = os.environ.get("SERVICE_IMAGE", ""), os.environ.get("TRAINER_IMAGE", "")
of_service = pytest.mark.skipif(not SERVICE, reason="made and tested by scripts/test-image")
of_trainer = pytest.mark.skipif(not TRAINER, reason="made and tested by scripts/test-image")
BODY = {
    "inputs": [
        {
            "prompt": "Write a function that returns the larger of two numbers.",
            "candidates": [
                "def larger(a, b):\n    return max(a, b)",
                "def larger(a, b):\n    pass",
            ],
        }
    ]
}
_PATIENCE = 120.0
_CONFIGURATION = Path(__file__).parents[2] / "docker" / "containers.conf"


@dataclass(frozen=True)
class Running:
    """A container of the service that is ready."""

    name: str
    url: str


def podman(*arguments: str, timeout: float = 300) -> str:
    """Its standard output; what went wrong is in the error."""
    command = [_tool(), *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=timeout, check=False, env=_environment()
    )
    assert done.returncode == 0, f"podman {arguments[0]}: {done.stderr}"
    return done.stdout.strip()


def inspect(image: str) -> dict[str, object]:
    found = json.loads(podman("image", "inspect", image))[0]
    assert isinstance(found, dict)
    return found


@contextmanager
def service(*options: str) -> Iterator[Running]:
    """A ready service on a free port of this host; removed in the end, whatever became of it."""
    port = free_port()
    name = f"codepmp-test-{port}"
    podman(
        "run",
        "--detach",
        f"--name={name}",
        *RESTRICTED,
        f"--env=REWARD_PORT={port}",
        *options,
        SERVICE,
    )
    try:
        url = f"http://127.0.0.1:{port}"
        await_ready(name, url)
        yield Running(name, url)
    finally:
        podman("rm", "--force", "--time=1", name)


def await_ready(name: str, url: str) -> None:
    """Until the service in the container of this name is ready."""
    deadline = time.monotonic() + _PATIENCE
    with httpx.Client(transport=httpx.HTTPTransport(retries=0)) as client:
        while time.monotonic() < deadline:
            try:
                if client.get(f"{url}/readyz").status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.1)  # between looks, not for a state to be reached
    raise AssertionError(f"not ready in {_PATIENCE:.0f} s: {podman('logs', name)}")


def exit_code(name: str) -> int:
    return int(podman("inspect", "--format={{.State.ExitCode}}", name))


def run_trainer(work: Path, *arguments: str) -> str:
    """One stage of the trainer, its work folder mounted."""
    work.chmod(0o777)  # the container's user is nobody here
    return podman("run", "--rm", *RESTRICTED, f"--volume={work}:/training", TRAINER, *arguments)


def _environment() -> dict[str, str]:
    return {"CONTAINERS_CONF": str(_CONFIGURATION), **os.environ}


def _tool() -> str:
    found = shutil.which("podman")
    assert found, "podman is not installed"
    return found
