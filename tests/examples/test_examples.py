"""Each example runs against a real server with the default model, and prints what its page says."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
PATIENCE = 600
"""Seconds; only a broken example needs them."""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The address of a server with the default model."""
    server = subprocess.Popen(
        [sys.executable, "-m", "service", "--port", "0", "--log-level", "error"],
        stdout=subprocess.PIPE,
        cwd=ROOT,
        text=True,
    )
    assert server.stdout
    try:
        listening = json.loads(server.stdout.readline())["listening"]
        yield f"http://{listening}"
    finally:
        server.terminate()
        server.communicate(timeout=PATIENCE)


def run(folder: Path, *command: str | Path, **variables: str) -> str:
    """What a command prints, run in this folder with the environment's programs on its path."""
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command,
        capture_output=True,
        check=False,
        cwd=folder,
        text=True,
        timeout=PATIENCE,
        env=os.environ | {"PATH": programs} | variables,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_best_of_n_ranks_every_prompt(url: str, tmp_path: Path) -> None:
    printed = run(tmp_path, sys.executable, EXAMPLES / "best_of_n.py", "--url", url)
    (hits, total) = re.findall(r"is right (\d+) times of (\d+); .* 12\.0 times", printed)[0]
    assert int(total) == len(re.findall(r"^Write a function ", printed, re.M)) == 24
    assert int(hits) > 12


def test_a_scored_file_becomes_a_picture(url: str, tmp_path: Path) -> None:
    candidates = EXAMPLES / "data/candidates.jsonl"
    run(tmp_path, "codepmp-score", "rows", candidates, "scored.jsonl", "--url", url, "--quiet")
    program = EXAMPLES / "score_plot.py"
    printed = run(tmp_path, sys.executable, program, "scored.jsonl", "scores.svg")
    assert printed.startswith("48 right and 48 wrong candidates")
    assert (tmp_path / "scores.svg").read_text().count("</svg>") == 1


def test_grpo_logs_rewards_and_keeps_the_policy(url: str, tmp_path: Path) -> None:
    program = EXAMPLES / "grpo_trl.py"
    flags = ["--url", url, "--steps", "2", "--out", "policy"]
    printed = run(tmp_path, sys.executable, program, *flags)
    assert len(re.findall(r"^step +\d+  mean reward +-?\d+\.\d+$", printed, re.M)) == 2
    assert (tmp_path / "policy/model.safetensors").exists()


def test_candidates_become_pairs_and_a_policy(url: str, tmp_path: Path) -> None:
    printed = run(tmp_path, EXAMPLES / "dpo_pairs.sh", url, "out", STEPS="2")
    assert len(re.findall(r"^step +\d+  loss \d", printed, re.M)) == 2
    pairs = [json.loads(line) for line in (tmp_path / "out/pairs.jsonl").read_text().splitlines()]
    assert len(pairs) == 24
    assert {"prompt", "chosen", "rejected"} <= pairs[0].keys()
    assert (tmp_path / "out/policy/model.safetensors").exists()


@pytest.mark.skipif(
    Path(sys.prefix) != ROOT / ".venv", reason="scripts/train uses the checkout's own .venv"
)
def test_a_csv_file_becomes_a_release_that_serves(tmp_path: Path) -> None:
    printed = run(tmp_path, EXAMPLES / "own_rm_from_csv.sh", "out", STEPS="2")
    last = json.loads(printed.splitlines()[-1])
    assert last["message"] == "Checked. A start with these settings becomes ready."
    assert (tmp_path / "out/release/release.json").exists()


def test_the_cells_of_the_notebook_run_in_order_and_are_kept_without_results(
    url: str, tmp_path: Path
) -> None:
    cells = json.loads((EXAMPLES / "tour.ipynb").read_text("utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    program = tmp_path / "tour.py"
    program.write_text("\n".join("".join(cell["source"]) for cell in code))
    printed = run(ROOT, sys.executable, program, REWARD_URL=url, MPLBACKEND="Agg")
    assert "too_long" in printed
    assert re.search(r"is right \d+ times of 24", printed)


def test_the_page_lists_every_example() -> None:
    page = (EXAMPLES / "README.md").read_text()
    files = [path.name for path in EXAMPLES.iterdir() if path.suffix in {".py", ".sh", ".ipynb"}]
    assert files
    assert [name for name in files if f"]({name})" not in page] == []
