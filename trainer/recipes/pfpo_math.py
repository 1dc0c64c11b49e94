"""PFPO (arXiv 2411.16345) on final answers: rounds of DPO on the majority of a policy's answers.

    python -m trainer run --recipe pfpo_math --work WORK --set start.policy=MODEL

WORK holds GSM8K's `train.jsonl` and `test.jsonl`. The probe is drawn from the training file, and
its problems are left out of what is learnt from.
"""

from trainer.feedback.problems import ProblemsConfig
from trainer.feedback.readers.gsm8k import Gsm8k
from trainer.pipeline.recipe import Recipe
from trainer.recipes.rounds import study
from trainer.recipes.study import Study

TRAIN, TEST = ("train.jsonl*",), ("test.jsonl*",)

STUDY = Study(
    "mistralai/Mathstral-7B-v0.1",
    train=ProblemsConfig(Gsm8k(), TRAIN),
    probe=ProblemsConfig(Gsm8k(), TRAIN, max_problems=200),
    test=ProblemsConfig(Gsm8k(), TEST),
    programs=False,
    max_pairs_per_problem=1,
    top_p=0.9,
)


def recipe() -> Recipe:
    """Rounds of sample, vote, pair, train and gate; then a report beside the start."""
    return study("pfpo_math", STUDY, rounds=3)
