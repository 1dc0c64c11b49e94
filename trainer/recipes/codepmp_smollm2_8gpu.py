"""`codepmp_smollm2_gpu` with eight times the pairs, for eight GPUs under torchrun."""

from trainer.pipeline.recipe import Recipe
from trainer.recipes.codepmp_smollm2_gpu import enlarged


def recipe() -> Recipe:
    return enlarged("codepmp_smollm2_8gpu", snippets=400_000, prompts_per_step=512)
