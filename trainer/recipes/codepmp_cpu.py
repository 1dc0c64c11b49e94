"""The paper's method (arXiv 2410.02229) on two cores: language models write both sides of pairs.

A stronger and a weaker model are trained here first, so that nothing is downloaded; the stages that
ask them need them served, as runs/codepmp_cpu.sh does. The reward model starts from the stronger.
"""

from typing import Any

from trainer.corpus import gather
from trainer.corpus.gather import CorpusConfig
from trainer.evaluation import calibrate, evaluate
from trainer.evaluation.calibrate import CalibrateConfig
from trainer.evaluation.evaluate import EvaluateConfig
from trainer.evaluation.tasks import PairsTask
from trainer.pairs import make
from trainer.pairs.make import PairsConfig
from trainer.pipeline.recipe import Recipe, Stage
from trainer.publishing import publish
from trainer.publishing.publish import PublishConfig
from trainer.recipes.cpu_tiny import hard_pairs
from trainer.synthesis import combine, describe, generators, respond
from trainer.synthesis.combine import LlmPairsConfig
from trainer.synthesis.completions import LlmConfig
from trainer.synthesis.describe import DescribeConfig
from trainer.synthesis.endpoint import EndpointConfig
from trainer.synthesis.generators import GeneratorConfig
from trainer.synthesis.requests import Sampling
from trainer.synthesis.respond import RespondConfig
from trainer.training import finetune, pretrain
from trainer.training.base import BaseConfig
from trainer.training.finetune import FinetuneConfig, Mix
from trainer.training.pretrain import PretrainConfig, warm_up

# Shorter than the templates for models that follow instructions: these two learn only these.
DESCRIBE, ANSWER = "Describe: {code}", "{request}"


def recipe() -> Recipe:
    """The paper's stages, after those that make the two language models."""
    return Recipe("codepmp_cpu", sources() | synthesis() | training() | release())


def sources() -> dict[str, Stage[Any]]:
    """The corpus, and the two language models that stand in for the paper's."""
    # The models learn to write code from these requests, so each must describe its function.
    requests = PairsConfig(
        named=False, undescribed=0.0, methods=0.4, max_characters=500, max_held_out=150
    )
    return {
        "corpus": Stage(gather.run, CorpusConfig(installed=False)),
        "pairs": Stage(make.run, requests),
        "strong_lm": Stage(generators.run, generator(max_steps=150)),
        "weak_lm": Stage(generators.run, weak_generator()),
    }


def weak_generator() -> GeneratorConfig:
    """A model of an eighth of the size, trained for less than half the steps."""
    small = BaseConfig(
        hidden_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        intermediate_size=352,
    )
    return generator(max_steps=60, shape=small, describes=False)


def generator(
    max_steps: int, shape: BaseConfig | None = None, *, describes: bool = True
) -> GeneratorConfig:
    """A language model that is prompted with the templates it was trained on."""
    return GeneratorConfig(
        shape=shape or BaseConfig(),
        training=warm_up("base", max_steps, prompts_per_step=24, learning_rate=4e-3),
        describe_template=DESCRIBE,
        answer_template=ANSWER,
        describes=describes,
    )


def synthesis() -> dict[str, Stage[Any]]:
    """Descriptions, and one answer to each of them by either model, as in the paper."""
    # The paper allows 1,024 new tokens; models as small as these lose the thread long before.
    asked = DescribeConfig(llm("strong", 48), template=DESCRIBE, max_snippets=700)
    return {
        "describe": Stage(describe.run, asked),
        "strong": Stage(respond.run, RespondConfig(llm("strong", 160), template=ANSWER)),
        "weak": Stage(respond.run, RespondConfig(llm("weak", 160), template=ANSWER)),
        "llm_pairs": Stage(combine.run, LlmPairsConfig()),
    }


def llm(model: str, max_tokens: int) -> LlmConfig:
    """The address comes from the environment, because it is chosen when the server starts."""
    endpoint = EndpointConfig(f"$CODEPMP_{model.upper()}_URL", model)
    return LlmConfig(endpoint, Sampling(max_tokens=max_tokens))


def training() -> dict[str, Stage[Any]]:
    """The paper's two rounds: both losses on the pairs, then ranking alone on preferences."""
    return {
        "pretrain": Stage(
            pretrain.run,
            PretrainConfig(
                start="strong_lm",
                pairs="llm_pairs",
                max_steps=120,
                prompts_per_step=8,
                learning_rate=1e-3,
            ),
        ),
        "hard_pairs": Stage(make.run, hard_pairs()),
        "finetune": Stage(
            finetune.run,
            FinetuneConfig(
                start="pretrain",
                mixture=(Mix("hard_pairs"),),
                max_steps=80,
                prompts_per_step=8,
                learning_rate=1e-3,
                optimizer="muon",  # the paper's AdamW learns more slowly here (docs/decisions.md)
                warmup_ratio=0.1,
                eval_steps=0,  # hard_pairs holds no rows out that could be ranked on the way
            ),
        ),
    }


def release() -> dict[str, Stage[Any]]:
    """Calibration, evaluation on both kinds of pairs, and the release."""
    tasks = (PairsTask(), PairsTask(name="pairs of two language models", stage="llm_pairs"))
    evaluation = EvaluateConfig(checkpoint="finetune", calibration="calibrate", tasks=tasks)
    return {
        "calibrate": Stage(calibrate.run, CalibrateConfig(checkpoint="finetune")),
        "evaluate": Stage(evaluate.run, evaluation, evaluate.check),
        "publish": Stage(
            publish.run,
            PublishConfig(
                name="codepmp-cpu",
                version="1",
                command="runs/codepmp_cpu.sh",
                checkpoint="finetune",
            ),
        ),
    }
