"""PFPO with process pairs (arXiv 2411.16345): after a round of DPO, rounds with prefixes as well.

A round samples the policy, completes prefixes of its samples, and trains on pairs of answers and of
prefixes, with the pairs of earlier rounds. Otherwise it is the recipe `pfpo`.
"""

from trainer.pipeline.recipe import Recipe
from trainer.recipes.pfpo import STUDY
from trainer.recipes.rounds import study


def recipe() -> Recipe:
    """One round on answers alone, and two with prefixes."""
    return study("pfpo_process", STUDY, rounds=3, process=(2, 3))
