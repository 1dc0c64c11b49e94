"""Pairs that execution labelled train a reward model, which is evaluated on other problems."""

from pathlib import Path

from tests.trainer.feedback.made import function, make_problems, make_samples, make_stage, sampled
from tests.trainer.training.stages import make_base
from trainer.evaluation.evaluate import EvaluateConfig
from trainer.evaluation.evaluate import run as evaluate
from trainer.evaluation.reporting.report import read
from trainer.evaluation.tasks import PairsTask
from trainer.feedback import pass_count
from trainer.feedback.pair_rules import AllOverAny
from trainer.feedback.pairs import PolicyPairsConfig
from trainer.feedback.pairs import run as make_pairs
from trainer.feedback.pass_count import PassCount, Verdict
from trainer.pairs.row import read_pairs
from trainer.pipeline.stage import read_manifest
from trainer.training import finetune
from trainer.training.finetune import FinetuneConfig, Mix

RIGHT, WRONG = "def f(a, b): return a + b", "def f(a, b): return a * b"


def make_work(work: Path) -> None:
    names = [f"p{number}" for number in range(24)]
    make_problems(work / "problems", [function(name) for name in names])
    samples = [
        sampled(name, number, f"{text}  # {name}", prompt=f"Add two numbers, {name}.")
        for name in names
        for number, text in enumerate((RIGHT, WRONG, f"{WRONG} + 1"))
    ]
    make_samples(work / "samples", samples)
    labels = [
        PassCount(
            each.id,
            each.problem,
            int(each.number == 0),
            1,
            (Verdict.OK if each.number == 0 else Verdict.WRONG,),
        )
        for each in samples
    ]
    make_stage(work / "votes", {pass_count.STEM: labels})


def test_finetune_and_evaluate_read_the_stage(tmp_path: Path) -> None:
    make_work(tmp_path)
    config = PolicyPairsConfig(rule=AllOverAny(), evaluation_share=0.3, source="round 1")
    make_pairs(config, tmp_path, tmp_path / "policy_pairs")
    make_base(tmp_path / "base")
    training = FinetuneConfig(
        start="base",
        mixture=(Mix("policy_pairs"),),
        prompts_per_step=4,
        learning_rate=3e-3,
        max_steps=2,
        eval_steps=2,
        bf16=False,
        report_to="none",
    )
    finetune.run(training, tmp_path, tmp_path / "finetune")
    assert read_manifest(tmp_path / "finetune")["steps"] == 2
    task = PairsTask(name="samples", stage="policy_pairs")
    measuring = EvaluateConfig(checkpoint="finetune", resamples=20, tasks=(task,))
    evaluate(measuring, tmp_path, tmp_path / "evaluate")
    (report,) = read(tmp_path / "evaluate").tasks
    held_out = read_pairs(tmp_path / "policy_pairs", "evaluation")
    assert report.questions == len(held_out) > 0
    assert set(report.groups) == {row.group for row in held_out}
    figures = report.tables[0].rows
    assert all({"model", "length_only", "random"} <= row.keys() for row in figures.values())
