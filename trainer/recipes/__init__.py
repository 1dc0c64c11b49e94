"""Complete runs as frozen configs, one file each. A variant calls another recipe and changes it."""

from importlib import import_module

from trainer.pipeline.recipe import Recipe

# Each name is a module of this folder with a function `recipe()`.
RECIPES = {
    "finetune": "a base model and a preference file -> a release, by LoRA",
    "pfpo": "rounds of DPO on votes of a policy's own programs, as in PFPO, on a 7B model",
    "pfpo_process": "the same, with rounds that train on pairs of prefixes, too",
    "pfpo_cpu": "pfpo on two CPU cores, beside labels by given tests and at random",
    "pfpo_math": "rounds of DPO on votes of a policy's own final answers, on a 7B model",
    "pfpo_math_cpu": "the same on two CPU cores, beside given answers and random labels",
    "code_dpo": "DPO on a policy's own programs, judged by given tests",
    "cpu_tiny": "all stages in minutes on two CPU cores, from the packages installed here",
    "tiny_code_rm": "the embedded default release: cpu_tiny with more packages and steps",
    "codepmp_cpu": "the paper's method on two CPU cores: vLLM writes both sides of the pairs",
    "codepmp_qwen2_1_5b": "CodePMP as published, on Qwen2-1.5B",
    "codepmp_qwen2_7b": "CodePMP as published, on Qwen2-7B",
}


def open_recipe(name: str) -> Recipe:
    """Import the recipe of this name, and with it its stages and torch."""
    recipe: Recipe = import_module(f"trainer.recipes.{name}").recipe()
    return recipe
