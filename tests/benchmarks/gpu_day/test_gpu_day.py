"""The program for a lent GPU is tried on the CPU, so that no minute of the GPU is lost to it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.gpu_day.parts import PARTS

ROOT = Path(__file__).resolve().parents[3]


def gpu_day(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu_day", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def test_a_dry_run_goes_through_every_kind_of_part(tmp_path: Path) -> None:
    run = gpu_day("--out", str(tmp_path / "out"), "--dry-run")
    figures = json.loads((tmp_path / "out/figures.json").read_text())
    ended = {part["name"]: part["ended"] for part in figures["parts"]}
    assert ended.pop("recipe").startswith("skipped: no work folder")
    assert set(ended.values()) == {"done"}, run.stderr
    assert list(ended) == [p.name for p in PARTS if not p.repeats and p.name != "recipe"]
    assert run.returncode == 0
    page = (tmp_path / "out/page.md").read_text()
    assert "| grouped queries, 64 wide | qwen2 | bfloat16 |" in page
    assert "share of the limit" in page
    assert "`python -m benchmarks.gpu_day --out out --dry-run`" in page


def test_where_there_is_no_gpu_it_says_so_at_once(tmp_path: Path) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    run = gpu_day("--out", str(tmp_path))
    assert run.returncode == 2
    assert "--dry-run" in run.stderr
