"""The trainer's image runs a recipe's first stage in a mounted folder."""

from pathlib import Path

import pytest

from benchmarks.image_start import RESTRICTED
from tests.docker.containers import TRAINER, of_trainer, podman, run_trainer

pytestmark = of_trainer


def test_it_runs_the_first_stage_of_the_tiny_recipe(tmp_path: Path) -> None:
    """On the standard library alone: all that is installed takes minutes."""
    which = ("--recipe", "cpu_tiny", "--set", "corpus.installed=false", "--work", "/training")
    run_trainer(tmp_path, "corpus", *which)
    assert (tmp_path / "corpus" / "manifest.json").is_file()
    assert (tmp_path / "corpus" / "snippets-00000.jsonl").stat().st_size > 0


@pytest.mark.parametrize(
    "command",
    [
        ("sh", "-c", "command -v gcc wget"),
        ("python", "-c", "import sysconfig; open(sysconfig.get_paths()['include'] + '/Python.h')"),
        ("python", "-c", "import ray.dashboard.optional_deps"),
    ],
    ids=["tools", "headers", "Ray's job API"],
)
def test_kernels_can_be_compiled_and_ray_can_be_asked_for_jobs(command: tuple[str, ...]) -> None:
    """None of which the first stages need."""
    program, *arguments = command
    podman("run", "--rm", *RESTRICTED, f"--entrypoint={program}", TRAINER, *arguments)


def test_programs_run_behind_walls_with_the_security_context_of_the_job() -> None:
    """That of `k8s/training/feedback`: a profile of system calls, and nothing else."""
    profile = Path(__file__).parents[2] / "docker" / "seccomp-sandbox.json"
    option = f"--security-opt=seccomp={profile}"
    printed = podman("run", "--rm", *RESTRICTED, option, TRAINER, "sandbox")
    assert "walls of isolation=bubblewrap hold" in printed
    assert "OPEN" not in printed


def test_without_that_context_nothing_runs() -> None:
    with pytest.raises(AssertionError, match="bubblewrap cannot build them here"):
        podman("run", "--rm", *RESTRICTED, TRAINER, "sandbox")
