"""PFPO at a size for two CPU cores, beside labels by given tests and random ones.

    runs/pfpo_cpu.sh MODEL MBPP [WORK]

MODEL is a small language model that writes code, such as Qwen2.5-Coder-0.5B-Instruct. All arms
learn from the same samples; what differs is who says which of them are better.
"""

from dataclasses import replace

from trainer.feedback.serving import ServerConfig
from trainer.pipeline.recipe import Recipe
from trainer.recipes.pfpo import STUDY as PAPER
from trainer.recipes.rounds import study
from trainer.training.config import LoraAdapters

STUDY = replace(
    PAPER,
    policy="Qwen/Qwen2.5-Coder-0.5B-Instruct",
    train=replace(PAPER.train, max_problems=60),
    probe=replace(PAPER.probe, max_problems=24),
    test=replace(PAPER.test, max_problems=80),
    max_tokens=400,
    max_length=768,
    # LoRA takes about ten times the rate of training all weights.
    learning_rates=(5e-5, 2e-5),
    prompts_per_step=8,
    max_pairs_per_problem=6,
    lora=LoraAdapters(),
    server=ServerConfig(max_model_len=1024, max_num_seqs=40),
)


def recipe() -> Recipe:
    """One round by votes, and one each by given tests and at random."""
    return study("pfpo_cpu", STUDY, rounds=1, controls=("given", "random"))
