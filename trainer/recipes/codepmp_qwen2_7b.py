"""CodePMP as published (arXiv 2410.02229) on Qwen2-7B, with a few deviations.

Put source files with their licenses into `source/*.parquet` of the work folder, in the columns of
The Stack, and preference data into `math_shepherd.jsonl`. Serve the describer and both writers, and
name their addresses in CODEPMP_DESCRIBER_URL, CODEPMP_STRONG_URL and CODEPMP_WEAK_URL.
docs/recipes.md compares every figure.
"""

from typing import Any

from trainer.corpus import gather as sources
from trainer.corpus.gather import CorpusConfig
from trainer.corpus.sources.files import ParquetSource
from trainer.corpus.sources.source import THE_STACK
from trainer.evaluation import calibrate, evaluate
from trainer.evaluation.calibrate import CalibrateConfig
from trainer.evaluation.evaluate import EvaluateConfig
from trainer.evaluation.tasks import PairsTask
from trainer.pipeline.recipe import Recipe, Stage
from trainer.preferences import gather as preferences
from trainer.preferences.formats.math_shepherd import MathShepherd
from trainer.preferences.gather import PreferencesConfig
from trainer.preferences.source import PreferenceSource
from trainer.publishing import publish
from trainer.publishing.publish import PublishConfig
from trainer.synthesis import combine, describe, respond
from trainer.synthesis.combine import LlmPairsConfig
from trainer.synthesis.completions import LlmConfig
from trainer.synthesis.describe import DescribeConfig
from trainer.synthesis.endpoint import EndpointConfig
from trainer.synthesis.requests import Sampling
from trainer.synthesis.respond import RespondConfig
from trainer.training import finetune, pretrain
from trainer.training.finetune import FinetuneConfig
from trainer.training.pretrain import PretrainConfig

STEPS = 27_458  # as in the paper: 28.1 M pairs once, 1,024 in each step

STRONG, WEAK = (
    "deepseek-ai/deepseek-coder-6.7b-instruct",
    "deepseek-ai/deepseek-coder-1.3b-instruct",
)


def recipe() -> Recipe:
    """The paper's three steps: synthesis, pretraining on code, finetuning on reasoning."""
    return Recipe(
        "codepmp_qwen2_7b",
        synthesis()
        | {
            "pretrain": Stage(pretrain.run, pretraining("Qwen/Qwen2-7B", learning_rate=1e-6)),
            "preferences": Stage(preferences.run, math_shepherd()),
            "finetune": Stage(finetune.run, finetuning()),
            "calibrate": Stage(
                calibrate.run, CalibrateConfig(checkpoint="finetune", pairs="preferences")
            ),
            "evaluate": Stage(evaluate.run, evaluation(), evaluate.check),
            "publish": Stage(publish.run, publishing("codepmp_qwen2_7b")),
        },
    )


def synthesis() -> dict[str, Stage[Any]]:
    """Sampling as in the paper, which drops only empty answers; here more filters apply."""
    return {
        "corpus": Stage(sources.run, corpus()),
        "describe": Stage(describe.run, DescribeConfig(llm("DESCRIBER", STRONG))),
        "strong": Stage(respond.run, RespondConfig(llm("STRONG", STRONG))),
        "weak": Stage(respond.run, RespondConfig(llm("WEAK", WEAK))),
        "llm_pairs": Stage(combine.run, LlmPairsConfig()),
    }


def corpus() -> CorpusConfig:
    """The paper reads 20 M Python files as they are; here licenses and duplicates are filtered."""
    return CorpusConfig(
        sources=(ParquetSource("source/*.parquet", THE_STACK),),
        standard_library=False,
        installed=False,
        max_per_package=100_000,
        max_characters=3000,  # 1,024 tokens with the request, where the paper cuts to the right
        permutations=256,
    )


def llm(server: str, model: str) -> LlmConfig:
    endpoint = EndpointConfig(f"$CODEPMP_{server}_URL", model, concurrency=256)
    return LlmConfig(endpoint, Sampling(temperature=0.7, max_tokens=1024))


def pretraining(start: str, learning_rate: float) -> PretrainConfig:
    """The paper's pretraining, whose learning rate depends on the size of the base."""
    return PretrainConfig(
        start=start,
        pairs="llm_pairs",
        end_token="<|im_end|>",  # Qwen2's pad is its end of text; a pad must be nothing else
        max_steps=STEPS,
        prompts_per_step=1024,
        gradient_accumulation_steps=16,
        learning_rate=learning_rate,
        optimizer="adamw",  # as in the paper; Muon needs whole matrices, and FSDP splits them
        warmup_ratio=0.03,
        decay_ratio=0.1,
        weight_decay=0.1,
        max_length=1024,
        bf16=True,
        gradient_checkpointing=True,
        save_steps=250,
        branch_points=True,  # each can be decayed: a scaling curve at the cost of one run
    )


def math_shepherd() -> PreferencesConfig:
    """The paper's 40,000 pairs. Whole problems are held out, because each has many pairs."""
    source = PreferenceSource(
        "math-shepherd", MathShepherd(), paths=("math_shepherd.jsonl",), max_rows=40_000
    )
    return PreferencesConfig(sources=(source,))


def finetuning() -> FinetuneConfig:
    """The paper's figures for Math-Shepherd: one epoch, cosine, no weight decay, no LM loss."""
    return FinetuneConfig(
        start="pretrain",
        max_steps=625,  # once over 40,000 pairs
        prompts_per_step=64,
        gradient_accumulation_steps=8,
        learning_rate=3e-7,
        warmup_ratio=0.03,
        weight_decay=0.0,
        max_grad_norm=1.0,
        max_length=1024,
        bf16=True,
        gradient_checkpointing=True,
    )


def evaluation() -> EvaluateConfig:
    """Accuracy on both kinds of held-out pairs, in the precision that serves."""
    tasks = (
        PairsTask(name="preferences", stage="preferences"),
        PairsTask(name="pairs of two language models", stage="llm_pairs"),
    )
    return EvaluateConfig(
        checkpoint="finetune",
        calibration="calibrate",
        tasks=tasks,
        device="cuda",
        dtype="bfloat16",
    )


def publishing(name: str) -> PublishConfig:
    """The release of the recipe with this name."""
    return PublishConfig(
        name=name.replace("_", "-"),
        version="1",
        command=f"python -m trainer run --recipe {name} --work WORK",
        checkpoint="finetune",
        pairs="preferences",
        tolerance=0.05,  # served in bfloat16, where two engines differ in the second digit
    )
