"""`scripts/serve` sets for the process what only its environment can say."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from benchmarks.harness.processes import MALLOC, SERVED

ROOT = Path(__file__).resolve().parents[1]
KEPT = ("MALLOC", "OMP", "GOMP", "REWARD_MODEL")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout whose installers do nothing and whose Python prints its environment."""
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts/serve", tmp_path / "scripts/serve")
    programs = ["scripts/install", "scripts/install-vllm"]
    programs += [".venv/bin/python", ".venv-vllm/bin/python"]
    for name in programs:
        program = tmp_path / name
        program.parent.mkdir(parents=True, exist_ok=True)
        # Asked for the default model it names one; else it is the service.
        prints = 'case "$*" in *default_model*) echo /the/default ;; *) env ;; esac'
        program.write_text(f"#!/bin/sh\n{prints if name.endswith('python') else ''}\n")
        program.chmod(0o755)
    return tmp_path


def environment(checkout: Path, *flags: str, **variables: str) -> dict[str, str]:
    ours = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MALLOC_", "OMP_", "GOMP_", "GLIBC_", "REWARD_"))
    }
    printed = subprocess.run(
        [checkout / "scripts/serve", *flags],
        env=ours | variables,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout
    set_here = dict(line.split("=", 1) for line in printed.splitlines() if "=" in line)
    return {name: value for name, value in set_here.items() if name.startswith(KEPT)}


def test_memory_of_a_forward_is_kept_and_threads_hardly_spin(checkout: Path) -> None:
    assert environment(checkout, "--model", "mine") == SERVED


def test_the_default_release_is_asked_for_where_no_model_is_named(checkout: Path) -> None:
    assert environment(checkout)["REWARD_MODEL"] == "/the/default"
    assert environment(checkout, REWARD_MODEL="mine")["REWARD_MODEL"] == "mine"
    for flags in (["--model", "mine"], ["--model=mine"], ["--help"], ["--engine", "vllm"]):
        assert "REWARD_MODEL" not in environment(checkout, *flags)


def test_values_of_the_user_win(checkout: Path) -> None:
    own = {"MALLOC_ARENA_MAX": "2", "OMP_WAIT_POLICY": "ACTIVE"}
    assert environment(checkout, "--model=x", **own) == {**MALLOC, **own}
    spins = {"GOMP_SPINCOUNT": "0"}
    assert environment(checkout, "--model=x", **spins) == {**SERVED, **spins}


def test_tunables_leave_malloc_alone(checkout: Path) -> None:
    found = environment(checkout, "--model=x", GLIBC_TUNABLES="glibc.malloc.arena_max=2")
    assert found == {name: SERVED[name] for name in SERVED.keys() - MALLOC.keys()}


def test_vllm_keeps_the_defaults_of_malloc(checkout: Path) -> None:
    assert environment(checkout, "--engine", "vllm") == {"OMP_WAIT_POLICY": "PASSIVE"}


@pytest.mark.parametrize("target", ["cpu", "cuda"])
def test_the_images_for_torch_set_the_same(target: str) -> None:
    text = (ROOT / "docker/service.Dockerfile").read_text()
    stage = text.split(f"FROM runtime AS {target}\n")[1].split("\nFROM ")[0]
    for name, value in SERVED.items():
        # All images have this one from the stage before.
        assert name == "OMP_WAIT_POLICY" or f" {name}={value}" in stage
