"""What would fail at the end of a run fails before its first step."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.optim.optimizer import register_optimizer_step_post_hook

from tests.trainer.training.stages import make_work
from trainer.pipeline.stage import StageError
from trainer.training import pretrain
from trainer.training.config import LoraAdapters
from trainer.training.pretrain import PretrainConfig
from trainer.training.weights import rehearsal
from trainer.training.weights.rehearsal import require_space

CONFIG = PretrainConfig(
    start="base",
    max_steps=2,
    prompts_per_step=4,
    learning_rate=3e-3,
    optimizer="adamw",
    bf16=False,
    report_to="none",
)


@pytest.fixture
def work(tmp_path: Path) -> Path:
    return make_work(tmp_path)


def refused(config: PretrainConfig, work: Path, match: str) -> None:
    """Run a stage, which must be refused without a step and leave nothing behind."""

    def step(*_: object) -> None:
        raise AssertionError("it trained")

    hook = register_optimizer_step_post_hook(step)
    try:
        with pytest.raises(StageError, match=match):
            pretrain.run(config, work, work / "stage")
    finally:
        hook.remove()
    assert not (work / "stage").exists()
    assert not (work / ".stage.rehearsal").exists()


@pytest.mark.parametrize("lora", [None, LoraAdapters(r=2)])
def test_it_is_told_and_leaves_nothing(
    work: Path, lora: LoraAdapters | None, capsys: pytest.CaptureFixture[str]
) -> None:
    pretrain.run(replace(CONFIG, lora=lora), work, work / "stage")
    assert "stage: merge, export and loading were tried in" in capsys.readouterr().out
    assert not (work / ".stage.rehearsal").exists()


def test_a_config_that_cannot_be_served_is_refused(work: Path) -> None:
    """It trains; whoever opens the release refuses it."""
    config = work / "base" / "config.json"
    entries = json.loads(config.read_text()) | {"rms_norm_eps": 0.0}
    config.write_text(json.dumps(entries))
    refused(CONFIG, work, "the trained checkpoint could not be served: .*rms_norm_eps is 0.0")


def test_a_network_without_a_finite_score_is_refused(work: Path) -> None:
    file = work / "base" / "model.safetensors"
    weights = load_file(file)
    weights["model.norm.weight"] = torch.full_like(weights["model.norm.weight"], torch.nan)
    save_file(weights, file, {"format": "pt"})
    refused(CONFIG, work, "gives a text the score nan")


def test_a_full_disk_is_told_with_what_helps(tmp_path: Path) -> None:
    require_space(100, 100, tmp_path)
    with pytest.raises(StageError, match=r"2.0 GB are free, and this run writes up to 5.0 GB"):
        require_space(5_000_000_000, 2_000_000_000, tmp_path)


def test_of_a_large_network_config_and_tokenizer_are_tried(
    work: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(rehearsal, "_MAX_PARAMETERS", 1000)
    pretrain.run(CONFIG, work, work / "stage")
    assert "stage: config and tokenizer were tried in" in capsys.readouterr().out


def test_weights_that_are_no_numbers_and_layers_that_are_not_there_are_refused(work: Path) -> None:
    lora = LoraAdapters(r=2, target_modules=("nowhere",))
    refused(replace(CONFIG, lora=lora), work, "nowhere.* do not fit the network")
    file = work / "base" / "model.safetensors"
    weights = load_file(file)
    weights["model.layers.0.mlp.up_proj.weight"][0, 0] = torch.nan
    save_file(weights, file, metadata={"format": "pt"})
    refused(replace(CONFIG, lora=LoraAdapters(r=2)), work, "not all numbers")
