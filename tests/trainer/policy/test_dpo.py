"""Whole runs on a tiny policy, in float32: one way of running is as good as another."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.trainer.policy.policies import make_work
from tests.trainer.training.stages import weights
from trainer.pipeline.stage import read_manifest
from trainer.policy import dpo
from trainer.policy.config import DpoConfig
from trainer.training.config import LoraAdapters

CONFIG = DpoConfig(
    start="base",
    max_steps=6,
    prompts_per_step=4,
    learning_rate=3e-3,
    warmup_ratio=0.34,
    evaluation_share=0.2,
    bf16=False,
    logging_steps=2,
    report_to="none",
)


@pytest.fixture
def work(tmp_path: Path) -> Path:
    return make_work(tmp_path)


def run(config: DpoConfig, work: Path, name: str) -> Path:
    dpo.run(config, work, work / name)
    return work / name


def gap(one: Path, other: Path) -> float:
    left, right = weights(one), weights(other)
    assert left.keys() == right.keys()
    return max(float((left[name].float() - right[name].float()).abs().max()) for name in left)


def test_a_policy_learns_to_prefer_the_chosen_answers(work: Path) -> None:
    log = read_manifest(run(replace(CONFIG, max_steps=30), work, "dpo"))["log"]
    lines = [line for line in log if "loss_sigmoid" in line]
    assert lines[0]["loss_sigmoid"] == pytest.approx(0.693, abs=0.05)
    assert lines[-1]["loss_sigmoid"] < 0.6
    assert lines[-1]["rewards/margins"] > 0.2
    assert lines[-1]["accuracy"] == lines[-1]["rewards/accuracies"] > 0.9
    for line in lines:
        margin = line["rewards/chosen"] - line["rewards/rejected"]
        assert line["rewards/margins"] == pytest.approx(margin, abs=1e-5)
        assert line["logps/chosen"] < 0
    assert any("eval_rewards/margins" in line for line in log)


def test_the_export_is_a_plain_checkpoint_with_the_files_of_the_start(work: Path) -> None:
    trained = run(CONFIG, work, "dpo")
    assert weights(trained).keys() == weights(work / "base").keys()
    assert gap(trained, work / "base") > 1e-3
    for name in ("tokenizer.json", "chat_template.jinja", "generation_config.json"):
        assert (trained / name).read_bytes() == (work / "base" / name).read_bytes()
    model = AutoModelForCausalLM.from_pretrained(trained)
    assert model.dtype == torch.float32
    assert AutoTokenizer.from_pretrained(trained).chat_template
    assert json.loads((trained / "config.json").read_text())["architectures"] == [
        "LlamaForCausalLM"
    ]


def test_micro_batches_add_up_to_the_large_batch(work: Path) -> None:
    config = replace(CONFIG, loss_type=("sigmoid", "sft"), loss_weights=(1.0, 0.2))
    whole = run(config, work, "whole")
    parts = run(replace(config, gradient_accumulation_steps=2), work, "parts")
    assert gap(whole, work / "base") > 1e-3
    assert gap(whole, parts) < 1e-5


def test_adapters_are_merged(work: Path) -> None:
    lora = LoraAdapters(r=4, lora_alpha=16)
    trained = run(replace(CONFIG, lora=lora), work, "dpo")
    assert gap(trained, work / "base") > 1e-3
