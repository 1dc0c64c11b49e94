"""CodePMP as published (arXiv 2410.02229) on Qwen2-7B, and what we do otherwise.

The paper's pairs are answers of two language models to descriptions of GitHub code. These stages
read source files below `repositories/` in the work folder and make rejected answers from the code
itself; pairs of two models take the place of `pairs` where endpoints serve them.
"""

from trainer.corpus import gather
from trainer.corpus.gather import CorpusConfig
from trainer.evaluation import evaluate
from trainer.evaluation.evaluate import EvaluateConfig
from trainer.pairs import make
from trainer.pairs.embedded import GenerateConfig
from trainer.pairs.make import PairsConfig
from trainer.publishing import calibrate, publish
from trainer.publishing.calibrate import CalibrateConfig
from trainer.publishing.publish import PublishConfig
from trainer.recipes.recipe import Recipe, Stage
from trainer.training import pretrain
from trainer.training.pretrain import PretrainConfig

STEPS = 27_458
"""The paper's, of 1,024 pairs each: 28.1 M pairs, once."""


def recipe() -> Recipe:
    return Recipe(
        "codepmp_qwen2_7b",
        {
            "corpus": Stage(gather.run, corpus()),
            "pairs": Stage(make.run, pairs()),
            "pretrain": Stage(pretrain.run, pretraining("Qwen/Qwen2-7B", learning_rate=1e-6)),
            "calibrate": Stage(calibrate.run, CalibrateConfig()),
            "evaluate": Stage(evaluate.run, EvaluateConfig()),
            "publish": Stage(
                publish.run,
                PublishConfig(
                    name="codepmp-qwen2-7b",
                    version="1",
                    command="python -m trainer run --recipe codepmp_qwen2_7b --work WORK",
                    tolerance=0.05,  # served in bfloat16, where two engines differ in the 2nd digit
                ),
            ),
        },
    )


def corpus() -> CorpusConfig:
    """Paper: 20 M Python files, unfiltered. Ours: permissive licences, no near duplicates."""
    return CorpusConfig(
        folders=("repositories",),
        standard_library=False,
        installed=False,
        most_per_package=100_000,
        most_characters=3000,  # 1,024 tokens with the request, where the paper cuts to the right
    )


def pairs() -> PairsConfig:
    """Paper: one rejected answer. Ours: four, which share the request's cost and its forward."""
    return PairsConfig(
        most_characters=3000,
        generate=GenerateConfig(
            mutants=1, truncated=0, repeated=0, other_functions=1, other_bodies=2
        ),
    )


def pretraining(start: str, learning_rate: float) -> PretrainConfig:
    return PretrainConfig(
        start=start,
        steps=STEPS,
        prompts_per_step=1024,
        learning_rate=learning_rate,
        warmup=0.03,
        decay=0.1,  # stable in between: the paper branches off there, see docs/recipes.md
        weight_decay=0.1,
        bf16=True,
    )
