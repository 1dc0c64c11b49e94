"""CodePMP as published (arXiv 2410.02229) on Qwen2-1.5B, at three times the 7B's rate."""

from dataclasses import replace

from trainer.pipeline.recipe import Recipe
from trainer.recipes import codepmp_qwen2_7b

_NAME = "codepmp_qwen2_1_5b"


def recipe() -> Recipe:
    """The stages of the 7B recipe, started from the smaller base."""
    pretraining = codepmp_qwen2_7b.pretraining("Qwen/Qwen2-1.5B", learning_rate=3e-6)
    return (
        replace(codepmp_qwen2_7b.recipe(), name=_NAME)
        .with_config("pretrain", pretraining)
        .with_config("publish", codepmp_qwen2_7b.publishing(_NAME))
    )
