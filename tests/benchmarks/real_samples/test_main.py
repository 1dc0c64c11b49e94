"""Releases judged by a command, on stages of samples."""

import sys
from pathlib import Path

import pytest

from benchmarks.real_samples import __main__ as program
from tests.benchmarks.claim_backbone.test_exercises import stages
from tests.releases import make_release


def test_a_release_is_judged_beside_rules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    release = make_release(tmp_path / "release")
    made = stages(tmp_path / "work", ["a", "b", "c"])
    arguments = [
        *("real_samples", "--release", str(release), "--verdicts", str(tmp_path / "verdicts")),
        *("--samples", "MBPP", *map(str, made), "--page", str(tmp_path / "page.md")),
    ]
    monkeypatch.setattr(sys, "argv", arguments)
    program.main()
    page = (tmp_path / "page.md").read_text()
    assert "3 problems: programs as a language model answered" in page
    assert "33% of the answers are right, 100% of the problems have a right one" in page
    assert "| random pick | 0.333 |" in page
    assert "| oracle | 0.333 |" in page
    assert str(tmp_path) not in page
    assert (tmp_path / "page.svg").is_file()


def test_nothing_to_rank_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    release = make_release(tmp_path / "release")
    arguments = ["real_samples", "--release", str(release), "--verdicts", str(tmp_path / "file")]
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(SystemExit, match="nothing to rank: give --samples or --data"):
        program.main()
    monkeypatch.setattr(sys, "argv", [*arguments, "--samples", "MBPP", *["no/stage"] * 3])
    with pytest.raises(SystemExit, match="no/stage"):
        program.main()
