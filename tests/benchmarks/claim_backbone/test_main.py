"""The study on a backbone as a command: runs, resumes, and says what was not run."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from transformers.utils import logging as transformers_logging

from benchmarks.claim_backbone import __main__ as program
from benchmarks.claim_backbone.exercises import Exercise
from benchmarks.claim_backbone.finetuned import read_runs
from tests.benchmarks.claim_backbone.test_exercises import stages
from tests.checkpoints import make_checkpoint


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The arguments of a small study with two arms, which `main` sees."""
    arms = [
        f"{name}={make_checkpoint(tmp_path / name, seed=seed)}"
        for seed, name in enumerate(("ours", "base"))
    ]
    train = stages(tmp_path / "train", ["a", "b", "c"])
    test = stages(tmp_path / "test", ["d", "e"])
    arguments = [
        *("claim_backbone", "--arm", arms[0], "--arm", arms[1]),
        *("--code-train", *map(str, train), "--code-test", *map(str, test)),
        *("--runs", str(tmp_path / "runs.jsonl"), "--page", str(tmp_path / "page.md")),
        *("--sizes", "4", "9", "--seeds", "1", "--candidates", "4"),
    ]
    monkeypatch.setattr(sys, "argv", arguments)
    # The program silences transformers, which would leave later tests without progress bars.
    verbosity = transformers_logging.get_verbosity()
    yield arguments
    transformers_logging.set_verbosity(verbosity)


def test_runs_are_made_once_and_the_page_says_what_is_missing(
    command: list[str], tmp_path: Path
) -> None:
    command += ["--minutes", "0"]
    program.main()
    assert (
        "Not or not wholly run: MBPP 4 (ours, base); MBPP 9" in (tmp_path / "page.md").read_text()
    )
    command[-1] = "1000"
    program.main()
    runs = read_runs(tmp_path / "runs.jsonl")
    assert [(run.pairs, run.arm, run.trained) for run in runs] == [
        # Heads of classifiers rank before they are finetuned.
        (0, "ours", 0),
        (0, "base", 0),
        (4, "ours", 4),
        (4, "base", 4),
        (9, "ours", 9),
        (9, "base", 9),
    ]
    assert [len(row) for row in runs[0].scores] == [4, 4]
    program.main()
    assert read_runs(tmp_path / "runs.jsonl") == runs
    page = (tmp_path / "page.md").read_text()
    assert "Not or not wholly run: nothing" in page
    assert "ours - base" in page
    assert str(tmp_path) not in page
    assert (tmp_path / "page.svg").is_file()


def test_runs_of_other_settings_are_not_taken_for_these(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program.main()
    command += ["--learning-rate", "0.001", "--minutes", "0"]
    program.main()
    assert "6 runs of other data, checkpoints or settings are not used" in capsys.readouterr().err
    assert "(0 runs" in (tmp_path / "page.md").read_text()


def test_a_missing_checkpoint_is_one_sentence(command: list[str], tmp_path: Path) -> None:
    command[2] = f"ours={tmp_path / 'nothing'}"
    with pytest.raises(SystemExit, match="claim_backbone: no stage "):
        program.main()


def test_the_largest_size_comes_last_and_seeds_are_whole() -> None:
    exercises = [Exercise(name, "what", [], []) for name in ("one", "two")]
    arms = {"ours": Path("no/manifest"), "base": Path("no/weights")}
    found = [
        (pairs, seed, exercise.name, arm)
        for exercise, pairs, seed, arm in program.jobs(exercises, arms, [50, 200, 1000], 2)
    ]
    assert [(pairs, seed) for pairs, seed, _, _ in found[::4]] == [
        *((50, 1), (200, 1), (50, 2), (200, 2)),
        *((1000, 1), (1000, 2)),
    ]
    assert found[:4] == [
        (50, 1, "one", "ours"),
        (50, 1, "one", "base"),
        (50, 1, "two", "ours"),
        (50, 1, "two", "base"),
    ]
