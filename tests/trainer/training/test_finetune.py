from dataclasses import replace
from pathlib import Path

import pytest

from tests.trainer.training.stages import make_base, make_pairs, rows, weights
from trainer.pipeline.stage import StageError, read_manifest
from trainer.training import finetune
from trainer.training.finetune import FinetuneConfig, Mix

CONFIG = FinetuneConfig(
    start="base",
    mixture=(Mix("logic", weight=2.0), Mix("maths", max_rows=3)),
    prompts_per_step=4,
    learning_rate=3e-3,
    eval_steps=2,
    bf16=False,
    logging_steps=1,
    report_to="none",
)


@pytest.fixture
def work(tmp_path: Path) -> Path:
    make_base(tmp_path / "base")
    make_pairs(tmp_path / "logic", rows(8, "logic"), rows(4, "held-logic"))
    make_pairs(tmp_path / "maths", rows(9, "maths"), rows(4, "held-maths"))
    return tmp_path


def test_a_mixture_is_finetuned_on_and_evaluated_by_source(work: Path) -> None:
    finetune.run(CONFIG, work, work / "finetune")
    manifest = read_manifest(work / "finetune")
    assert manifest["steps"] == 3  # 8 rows and 3 of 9, four a step, one epoch
    assert manifest["inputs"].keys() == {"base", "logic", "maths"}
    evaluated = [line for line in manifest["log"] if "eval_accuracy" in line]
    assert [line["step"] for line in evaluated] == [2, 3]
    for line in evaluated:
        parts = line["eval_accuracy_logic"], line["eval_accuracy_maths"]
        assert line["eval_accuracy"] == pytest.approx(sum(parts) / 2)
    assert all(line["loss_lm"] == 0 for line in manifest["log"] if "loss_lm" in line)


def test_the_score_head_is_carried_over(work: Path) -> None:
    still = replace(CONFIG, learning_rate=0.0, eval_steps=0)
    finetune.run(still, work, work / "finetune")
    before, after = weights(work / "base"), weights(work / "finetune")
    assert before["score.weight"].equal(after["score.weight"])


def test_held_out_rows_that_are_too_long_are_counted_as_well(work: Path) -> None:
    fits, other = rows(2, "held-maths")
    long = replace(other, chosen=other.chosen * 20)
    make_pairs(work / "maths", rows(9, "maths"), [fits, long])
    finetune.run(replace(CONFIG, max_length=100), work, work / "finetune")
    left_out = read_manifest(work / "finetune")["left_out"]
    assert {name: count for name, count in left_out.items() if count} == {
        "held out: chosen: too long": 1
    }


def test_nothing_held_out_is_said(work: Path) -> None:
    make_pairs(work / "maths", rows(9, "maths"))
    config = replace(CONFIG, mixture=(Mix("maths"),))
    with pytest.raises(StageError, match="nothing is held out"):
        finetune.run(config, work, work / "finetune")
