"""A clone is enough for a release that was evaluated on files it has not seen."""

import json
from pathlib import Path

import pytest

from reward_model.release.release import open_release
from tests.trainer.history.repositories import make_history
from tests.trainer.recipes.test_finetune import chat_model
from trainer.pairs.row import read_pairs
from trainer.pipeline.overrides import overridden
from trainer.pipeline.running import run_recipe
from trainer.pipeline.stage import StageError
from trainer.recipes import open_recipe


def test_a_clone_ends_in_a_release_and_a_report(tmp_path: Path) -> None:
    repository = make_history(tmp_path / "clone", files=12, fixes=2)
    settings = [
        f"commits.repository={repository.folder}",
        "commits.min_rows=30",
        "commits.evaluation_share=0.3",
        "commits.calibration_share=0.2",
        f"finetune.start={chat_model(tmp_path / 'chat')}",
        "finetune.max_steps=2",
        "finetune.max_length=300",
        "finetune.report_to=none",
        "evaluate.resamples=20",
        "publish.golden_prompts=1",
    ]
    run_recipe(overridden(open_recipe("own_repository"), settings), tmp_path, None, None)
    release = open_release(tmp_path / "release")
    assert release.golden
    report = json.loads((release.path / "report.json").read_text())
    evaluated = {row.group for row in read_pairs(tmp_path / "commits", "evaluation")}
    assert set(report["tasks"][0]["groups"]) == evaluated
    assert "functions of a repository after a commit" in (release.path / "README.md").read_text()


def test_a_clone_is_asked_for_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(StageError, match=r"commits\.repository=/path/of/it"):
        run_recipe(open_recipe("own_repository"), tmp_path, None, None)
    assert not list(tmp_path.iterdir())
