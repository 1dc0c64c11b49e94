"""Complete runs as frozen configs, one file a recipe. A variant calls another and changes it."""

from importlib import import_module

from trainer.pipeline.recipe import Recipe

RECIPES = {
    "cpu_tiny": "the whole thread in minutes on two cores, from what is installed anyway",
    "tiny_code_rm": "the embedded default release: the same with more packages and steps",
    "codepmp_cpu": "the paper's way on two cores: real vLLM writes both sides of the pairs",
    "codepmp_qwen2_1_5b": "CodePMP as published, on Qwen2-1.5B",
    "codepmp_qwen2_7b": "CodePMP as published, on Qwen2-7B",
}
"""Names of the modules here that have a function `recipe()`, and what each makes."""


def open_recipe(name: str) -> Recipe:
    """Imported only when it is chosen: with it come the stages, and with those torch."""
    recipe: Recipe = import_module(f"trainer.recipes.{name}").recipe()
    return recipe
