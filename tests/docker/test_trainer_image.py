"""The trainer's image runs a recipe's first stage in a mounted folder."""

from pathlib import Path

import pytest

from tests.docker.containers import TRAINER, missing, run_trainer

pytestmark = pytest.mark.skipif(missing(TRAINER), reason="made and tested by scripts/test-image")


def test_it_runs_the_first_stage_of_the_tiny_recipe(tmp_path: Path) -> None:
    """On the standard library alone: all that is installed takes minutes."""
    which = ("--recipe", "cpu_tiny", "--set", "corpus.installed=false", "--work", "/training")
    run_trainer(tmp_path, "corpus", *which)
    assert (tmp_path / "corpus" / "manifest.json").is_file()
    assert (tmp_path / "corpus" / "snippets-00000.jsonl").stat().st_size > 0
