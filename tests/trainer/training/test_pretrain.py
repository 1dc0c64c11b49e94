from dataclasses import replace
from pathlib import Path

import pytest

from tests.trainer.training.stages import make_work
from trainer.pipeline.stage import StageError, read_manifest
from trainer.training import pretrain
from trainer.training.pretrain import PretrainConfig, warm_up


def test_a_warm_up_is_language_modelling_alone(tmp_path: Path) -> None:
    config = warm_up("base", max_steps=3, prompts_per_step=4, learning_rate=1e-3)
    config = replace(config, logging_steps=1, report_to="none")
    make_work(tmp_path)
    pretrain.run(config, tmp_path, tmp_path / "warmup")
    manifest = read_manifest(tmp_path / "warmup")
    assert manifest["steps"] == 3
    assert manifest["inputs"].keys() == {"base", "pairs"}
    for line in manifest["log"][:-1]:
        assert line["loss_rank"] == 0
        assert line["loss_lm"] > 0
        assert "accuracy" not in line, "there are no pairs"


def test_a_run_without_language_modelling_needs_rejected_answers(tmp_path: Path) -> None:
    config = PretrainConfig(
        start="base", max_steps=1, prompts_per_step=4, learning_rate=1e-3, with_rejected=False
    )
    make_work(tmp_path)
    ranked = replace(config, weights=replace(config.weights, lm=0.0))
    with pytest.raises(StageError, match="fits with its answers"):
        pretrain.run(ranked, tmp_path, tmp_path / "ranked")
