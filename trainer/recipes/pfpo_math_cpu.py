"""PFPO on final answers at a size for two CPU cores, beside given answers and random labels.

runs/pfpo_cpu.sh --math MODEL GSM8K [WORK]
"""

from dataclasses import replace

from trainer.feedback.serving import ServerConfig
from trainer.pipeline.recipe import Recipe
from trainer.recipes.pfpo_math import STUDY as PAPER
from trainer.recipes.rounds import study
from trainer.training.config import LoraAdapters

STUDY = replace(
    PAPER,
    policy="Qwen/Qwen2.5-Coder-0.5B-Instruct",
    train=replace(PAPER.train, max_problems=24),
    probe=replace(PAPER.probe, max_problems=20),
    test=replace(PAPER.test, max_problems=40),
    graded_samples=2,
    # So small a policy seldom agrees with itself: above one half there would be a vote in one
    # problem of twenty-four.
    min_majority=0.25,
    max_pairs_per_problem=4,
    max_tokens=400,
    max_length=768,
    learning_rates=(1e-4, 2e-5),
    prompts_per_step=4,
    gradient_accumulation_steps=4,  # a quarter of the memory
    lora=LoraAdapters(),
    server=ServerConfig(max_model_len=1024, max_num_seqs=40),
)


def recipe() -> Recipe:
    """One round by votes, and one each by given answers and at random."""
    return study("pfpo_math_cpu", STUDY, rounds=1, controls=("given", "random"))
