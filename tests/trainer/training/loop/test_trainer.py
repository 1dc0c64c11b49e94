from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from torch import nn
from torch.nn.modules.module import register_module_forward_pre_hook
from transformers.models.llama.modeling_llama import LlamaMLP

from tests.trainer.training.stages import make_pairs, make_work, rows, weights
from trainer.pipeline.stage import StageError, read_manifest
from trainer.training import pretrain
from trainer.training.pretrain import PretrainConfig

CONFIG = PretrainConfig(
    start="base",
    max_steps=6,
    prompts_per_step=4,
    learning_rate=3e-3,
    optimizer="adamw",
    warmup_ratio=0.34,
    bf16=False,
    logging_steps=2,
    report_to="none",
)


@pytest.fixture
def work(tmp_path: Path) -> Path:
    return make_work(tmp_path)


def run(config: PretrainConfig, work: Path, name: str) -> Path:
    pretrain.run(config, work, work / name)
    return work / name


def gap(one: Path, other: Path) -> float:
    left, right = weights(one), weights(other)
    assert left.keys() == right.keys()
    return max(float((left[name].float() - right[name].float()).abs().max()) for name in left)


def test_micro_batches_add_up_to_the_large_batch(work: Path) -> None:
    whole = run(CONFIG, work, "whole")
    parts = run(replace(CONFIG, gradient_accumulation_steps=2), work, "parts")
    assert gap(whole, work / "base") > 1e-3
    assert gap(whole, parts) < 1e-5
    for left, right in zip(*(read_manifest(stage)["log"][:-1] for stage in (whole, parts))):  # noqa: B905
        measured = {"grad_norm", "tokens_per_second"}
        assert {n: v for n, v in left.items() if n not in measured} == pytest.approx(
            {n: v for n, v in right.items() if n not in measured}, rel=1e-4
        )


def test_recomputing_activations_changes_nothing(work: Path) -> None:
    calls: Counter[str] = Counter()

    def count(module: nn.Module, _: object) -> None:
        calls[name] += isinstance(module, LlamaMLP)

    with register_module_forward_pre_hook(count):
        for name, recompute in (("kept", False), ("again", True)):
            run(replace(CONFIG, gradient_checkpointing=recompute, eval_steps=0), work, name)
    assert calls["again"] > 1.5 * calls["kept"], "they were computed again"
    assert gap(work / "kept", work / "again") < 1e-6


def test_the_log_has_a_line_for_every_interval_with_every_term(work: Path) -> None:
    log = read_manifest(run(CONFIG, work, "trained"))["log"]
    lines = [line for line in log if "loss_rank" in line]
    assert [line["step"] for line in lines] == [2, 4, 6]
    for line in lines:
        assert line["loss"] == pytest.approx(line["loss_rank"] + line["loss_lm"], abs=1e-3)
        assert 0 <= line["accuracy"] <= 1
        assert line["tokens_per_second"] > 0


def test_checkpoints_and_evaluations_are_on_by_default(
    work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ten checkpoints and five evaluations, however long a run is."""
    config = replace(CONFIG, max_steps=20)
    assert config.save_steps == 0.1
    log = read_manifest(run(config, work, "trained"))["log"]
    assert [line["step"] for line in log if "eval_accuracy" in line] == [4, 8, 12, 16, 20]
    bar = capsys.readouterr().err
    assert "held-out accuracy=" in bar
    assert "tokens/s=" in bar


def test_a_run_without_held_out_rows_is_not_evaluated_by_default(
    work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_pairs(work / "pairs", rows(20))
    log = read_manifest(run(CONFIG, work, "trained"))["log"]
    assert not any("eval_accuracy" in line for line in log)
    assert "nothing is held out, so no accuracy is measured" in capsys.readouterr().out
    with pytest.raises(StageError, match="set it to 0, or hold out"):
        run(replace(CONFIG, eval_steps=2), work, "evaluated")
