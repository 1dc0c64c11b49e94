"""PFPO at a size for two CPU cores, beside labels by given tests and random ones.

    runs/pfpo_cpu.sh MODEL MBPP [WORK]

MODEL is a small language model that writes code, such as Qwen2.5-Coder-0.5B-Instruct. All arms
learn from the same samples; what differs is who says which of them are better.
"""

from dataclasses import replace
from typing import Any

from trainer.evaluation import evaluate
from trainer.evaluation.evaluate import EvaluateConfig
from trainer.evaluation.tasks import PairsTask
from trainer.feedback import pairs
from trainer.feedback.pair_rules import AllOverAny
from trainer.feedback.pairs import PolicyPairsConfig
from trainer.feedback.serving import ServerConfig
from trainer.pipeline.recipe import Recipe, Stage
from trainer.recipes.pfpo import STUDY as PAPER
from trainer.recipes.rounds import study
from trainer.training import finetune
from trainer.training.config import LoraAdapters
from trainer.training.finetune import FinetuneConfig, Mix

STUDY = replace(
    PAPER,
    policy="Qwen/Qwen2.5-Coder-0.5B-Instruct",
    train=replace(PAPER.train, max_problems=60),
    probe=replace(PAPER.probe, max_problems=24),
    test=replace(PAPER.test, max_problems=80),
    max_tokens=400,
    max_length=768,
    # LoRA takes about ten times the rate of training all weights, and these steps are few.
    learning_rates=(1e-4, 2e-5),
    num_train_epochs=1.0,
    prompts_per_step=8,
    gradient_accumulation_steps=4,  # a quarter of the memory
    max_pairs_per_problem=2,
    lora=LoraAdapters(),
    server=ServerConfig(max_model_len=1024, max_num_seqs=40),
)


# A reward model that learns from the same samples, and then chooses among those of the test.
REWARD_BASE = "HuggingFaceTB/SmolLM2-135M-Instruct"


def recipe() -> Recipe:
    """One round by votes, and one each by given tests and at random; and a reward model."""
    rounds = study("pfpo_cpu", STUDY, rounds=1, controls=("given", "random"))
    learnt = PolicyPairsConfig(
        rule=AllOverAny(),
        samples="samples_1",
        votes="votes_given",
        max_pairs_per_problem=8,
        exports=(),
        evaluation_share=0.0,
        calibration_share=0.0,
        max_held_out=None,
    )
    held_out = replace(
        learnt,
        problems="problems_test",
        samples="samples_test_0",
        votes="votes_test_0",
        evaluation_share=1.0,
        max_pairs_per_problem=None,
    )
    task = PairsTask(name="samples of held-out problems", stage="policy_pairs_test")
    reward_model: dict[str, Stage[Any]] = {
        "policy_pairs_rm": Stage(pairs.run, learnt),
        "policy_pairs_test": Stage(pairs.run, held_out),
        "finetune": Stage(
            finetune.run,
            FinetuneConfig(
                start=REWARD_BASE,
                mixture=(Mix("policy_pairs_rm"),),
                prompts_per_step=8,
                gradient_accumulation_steps=8,
                learning_rate=3e-4,
                num_train_epochs=1.0,
                eval_steps=0,
                lora=LoraAdapters(),
            ),
        ),
        "evaluate": Stage(
            evaluate.run, EvaluateConfig(checkpoint="finetune", tasks=(task,)), evaluate.check
        ),
    }
    stages = {**rounds.stages}
    report = stages.pop("policy_report")
    chosen = replace(report.config, reward_model="finetune")
    return Recipe(
        rounds.name, {**stages, **reward_model, "policy_report": replace(report, config=chosen)}
    )
