"""CodePMP (arXiv 2410.02229) by real writers on a real backbone, at a size for two CPU cores.

    runs/codepmp_smollm2.sh STRONG WEAK DATA [WORK]

Qwen2.5-Coder-0.5B-Instruct describes functions and answers its own descriptions; the smaller
SmolLM2-135M-Instruct answers them worse. The reward model starts from SmolLM2-135M, learns from
those pairs, and is finetuned on answers whose labels are facts: programs that were run, and
solutions with their final numbers. `codepmp_smollm2_gpu` and
`codepmp_smollm2_8gpu` have larger numbers.
"""

from dataclasses import replace
from typing import Any

from trainer.corpus import gather
from trainer.corpus.gather import CorpusConfig
from trainer.evaluation import calibrate, evaluate
from trainer.evaluation.calibrate import CalibrateConfig
from trainer.evaluation.evaluate import EvaluateConfig
from trainer.evaluation.tasks import PairsTask
from trainer.feedback import pairs, problems, votes
from trainer.feedback.pair_rules import AllOverAny
from trainer.feedback.pairs import PolicyPairsConfig
from trainer.feedback.votes import VotesConfig
from trainer.pipeline.recipe import Recipe, Stage
from trainer.preferences import gather as preferences
from trainer.preferences.formats.labelled import Labelled
from trainer.preferences.gather import PreferencesConfig
from trainer.preferences.pairing import Pairing
from trainer.preferences.source import PreferenceSource
from trainer.publishing import publish
from trainer.publishing.adapter import LowRankAdapter
from trainer.publishing.publish import PublishConfig
from trainer.recipes.pfpo_cpu import STUDY
from trainer.recipes.study import sampled
from trainer.synthesis import combine, describe, respond
from trainer.synthesis.combine import LlmPairsConfig
from trainer.synthesis.completions import LlmConfig
from trainer.synthesis.describe import DescribeConfig
from trainer.synthesis.endpoint import EndpointConfig
from trainer.synthesis.requests import Sampling
from trainer.synthesis.respond import RespondConfig
from trainer.training import finetune, pretrain
from trainer.training.config import LoraAdapters
from trainer.training.finetune import FinetuneConfig, Mix
from trainer.training.pretrain import PretrainConfig

STRONG, WEAK = "Qwen2.5-Coder-0.5B-Instruct", "SmolLM2-135M-Instruct"
BASE = "HuggingFaceTB/SmolLM2-135M-Instruct"

# Shorter than the default: a model of half a billion parameters that is told to think for itself
# first writes its thoughts down, until its tokens are used up.
DESCRIBE = """\
Here is a function in {language}:

```{language}
{code}
```

Write the instruction that this function answers, in one to three sentences that begin with "Write \
a function". Say what goes in, what comes out and how unusual cases are treated, so that somebody \
who has not seen the function can write it. Answer with the instruction alone."""

# Two rounds of rank 8 are one adapter of rank 16, which is what the release holds.
ADAPTERS = LoraAdapters(r=8, lora_alpha=16)


def recipe() -> Recipe:
    """Synthesis, pretraining on code preferences, feedback by execution, finetuning, release."""
    stages = synthesis() | pretraining() | feedback() | finetuning() | release()
    return Recipe("codepmp_smollm2", stages)


def synthesis() -> dict[str, Stage[Any]]:
    """Descriptions and answers as in the paper, of functions small enough for small models."""
    brief = llm("STRONG", STRONG, Sampling(0.7, max_tokens=160))
    asked = DescribeConfig(brief, template=DESCRIBE, max_snippets=3000)
    answered = Sampling(0.7, max_tokens=320)
    return {
        "corpus": Stage(gather.run, CorpusConfig()),
        "describe": Stage(describe.run, asked),
        "strong": Stage(respond.run, RespondConfig(llm("STRONG", STRONG, answered))),
        "weak": Stage(respond.run, RespondConfig(llm("WEAK", WEAK, answered))),
        "llm_pairs": Stage(combine.run, LlmPairsConfig()),
    }


def llm(server: str, model: str, sampling: Sampling) -> LlmConfig:
    """The address comes from the environment, because it is chosen when the server starts."""
    endpoint = EndpointConfig(
        f"$CODEPMP_{server}_URL",
        model,
        concurrency=48,
        attempt_seconds=3600.0,  # a CPU answers many at once, and each of them slowly
        deadline_seconds=7200.0,
    )
    return LlmConfig(endpoint, sampling)


def pretraining() -> dict[str, Stage[Any]]:
    """The paper's first round, of adapters alone: both losses, on what the writers wrote."""
    run = PretrainConfig(
        start=BASE,
        pairs="llm_pairs",
        prompts_per_step=8,
        gradient_accumulation_steps=4,  # a quarter of the memory
        learning_rate=3e-4,  # LoRA takes about ten times the rate of training all weights
        optimizer="adamw",
        weight_decay=0.0,
        max_length=768,
        lora=ADAPTERS,
    )
    return {"pretrain": Stage(pretrain.run, run)}


def feedback() -> dict[str, Stage[Any]]:
    """Programs of the stronger model, labelled by execution, and GSM8K solutions by one family."""
    labelled = Labelled(family="[^/]+")
    solutions = PreferenceSource(
        "gsm8k", labelled, ("gsm8k*.jsonl*",), pairing=Pairing(max_pairs=4, same_model=True)
    )
    return {
        # A round of pfpo_cpu asks for some of the same answers, which need not be drawn twice.
        "problems": Stage(problems.run, replace(STUDY.train, max_problems=None)),
        "samples": sampled(STUDY, STUDY.policy, "problems", 8, seed=1),
        "votes": Stage(votes.run, VotesConfig(expected="given", max_timeouts=1)),
        "policy_pairs": Stage(
            pairs.run,
            PolicyPairsConfig(
                rule=AllOverAny(),
                max_pairs_per_problem=16,
                forms=("answer", "program", "completion"),
                cut_short="rejected",
                exports=(),
            ),
        ),
        "preferences": Stage(preferences.run, PreferencesConfig(sources=(solutions,))),
    }


def finetuning() -> dict[str, Stage[Any]]:
    """The second round: ranking alone, on facts."""
    run = FinetuneConfig(
        start="pretrain",
        mixture=(Mix("policy_pairs"), Mix("preferences")),
        prompts_per_step=8,
        gradient_accumulation_steps=4,
        learning_rate=3e-4,
        max_length=768,
        lora=ADAPTERS,
    )
    return {"finetune": Stage(finetune.run, run)}


def release() -> dict[str, Stage[Any]]:
    """Calibration and evaluation on all three kinds of held-out pairs, and the release."""
    tasks = (
        PairsTask(name="programs, labelled by execution", stage="policy_pairs"),
        PairsTask(name="GSM8K solutions of one model family", stage="preferences"),
        PairsTask(name="pairs of two language models", stage="llm_pairs"),
    )
    return {
        "calibrate": Stage(
            calibrate.run, CalibrateConfig(checkpoint="finetune", pairs="policy_pairs")
        ),
        "evaluate": Stage(
            evaluate.run,
            EvaluateConfig(checkpoint="finetune", calibration="calibrate", tasks=tasks),
            evaluate.check,
        ),
        "publish": Stage(
            publish.run,
            PublishConfig(
                name="smollm2-code-rm",
                version="2026-11-30",
                command="runs/codepmp_smollm2.sh STRONG WEAK DATA",
                checkpoint="finetune",
                pairs="policy_pairs",
                adapter=LowRankAdapter(),
            ),
        ),
    }
