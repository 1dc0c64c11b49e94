"""The trainer's image runs a recipe's first stage in a mounted folder."""

from pathlib import Path

import pytest

from tests.docker.containers import TRAINER, missing, run_trainer

pytestmark = pytest.mark.skipif(missing(TRAINER), reason="made and tested by scripts/test-image")


def test_it_runs_the_first_stage_of_the_tiny_recipe(tmp_path: Path) -> None:
    run_trainer(tmp_path, "corpus", "--recipe", "cpu_tiny", "--work", "/training")
    assert (tmp_path / "corpus" / "manifest.json").is_file()
    assert (tmp_path / "corpus" / "snippets.jsonl").stat().st_size > 0
