"""CodePMP as published (arXiv 2410.02229) on Qwen2-1.5B, at three times the 7B's rate."""

from dataclasses import replace

from trainer.recipes import codepmp_qwen2_7b
from trainer.recipes.recipe import Recipe


def recipe() -> Recipe:
    return (
        replace(codepmp_qwen2_7b.recipe(), name="codepmp_qwen2_1_5b")
        .with_config(
            "pretrain", codepmp_qwen2_7b.pretraining("Qwen/Qwen2-1.5B", learning_rate=3e-6)
        )
        .changed(
            "publish",
            name="codepmp-qwen2-1.5b",
            command="python -m trainer run --recipe codepmp_qwen2_1_5b --work WORK",
        )
    )
