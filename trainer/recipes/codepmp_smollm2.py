"""CodePMP (arXiv 2410.02229) by real writers, for two CPU cores; other sizes for GPUs beside it.

    runs/codepmp_smollm2.sh STRONG WEAK [WORK]

Qwen2.5-Coder-0.5B-Instruct describes functions and answers its own descriptions; the smaller
SmolLM2-135M-Instruct answers them worse. The reward model starts from SmolLM2-135M.
"""

from typing import Any

from trainer.corpus import gather
from trainer.corpus.gather import CorpusConfig
from trainer.pipeline.recipe import Recipe, Stage
from trainer.synthesis import combine, describe, respond
from trainer.synthesis.combine import LlmPairsConfig
from trainer.synthesis.completions import LlmConfig
from trainer.synthesis.describe import DescribeConfig
from trainer.synthesis.endpoint import EndpointConfig
from trainer.synthesis.requests import Sampling
from trainer.synthesis.respond import RespondConfig

STRONG, WEAK = "Qwen2.5-Coder-0.5B-Instruct", "SmolLM2-135M-Instruct"


def recipe() -> Recipe:
    return Recipe("codepmp_smollm2", synthesis())


def synthesis() -> dict[str, Stage[Any]]:
    """Descriptions and answers as in the paper, of functions small enough for small models."""
    asked = DescribeConfig(llm("STRONG", STRONG, 200), max_snippets=3000)
    return {
        "corpus": Stage(gather.run, CorpusConfig()),
        "describe": Stage(describe.run, asked),
        "strong": Stage(respond.run, RespondConfig(llm("STRONG", STRONG, 320))),
        "weak": Stage(respond.run, RespondConfig(llm("WEAK", WEAK, 320))),
        "llm_pairs": Stage(combine.run, LlmPairsConfig()),
    }


def llm(server: str, model: str, max_tokens: int) -> LlmConfig:
    endpoint = EndpointConfig(
        f"$CODEPMP_{server}_URL",
        model,
        concurrency=48,
        attempt_seconds=3600.0,
        deadline_seconds=7200.0,
    )
    return LlmConfig(endpoint, Sampling(temperature=0.7, max_tokens=max_tokens))
