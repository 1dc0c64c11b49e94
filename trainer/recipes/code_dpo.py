"""DPO on a policy's own programs, judged by given tests (arXiv 2410.18585).

    python -m trainer run --recipe code_dpo --work WORK --set start.policy=MODEL

As `pfpo`, but the given tests label the samples, and a program that passes all of them is chosen
over any that does not. That paper's hyper-parameters are not known to us; these are PFPO's.
"""

from trainer.pipeline.recipe import Recipe
from trainer.recipes.pfpo import STUDY
from trainer.recipes.rounds import study


def recipe() -> Recipe:
    """One round; then a report beside the start."""
    return study("code_dpo", STUDY, rounds=1, expected="given")
