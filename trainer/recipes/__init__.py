"""Complete runs as frozen configs, one file each. A variant calls another recipe and changes it."""

import re
from importlib import import_module
from pathlib import Path

from trainer.pipeline.field_values import unknown
from trainer.pipeline.recipe import Recipe
from trainer.pipeline.recipe_python import python_recipe
from trainer.pipeline.recipe_yaml import extended, extended_name
from trainer.pipeline.stage import StageError
from trainer.pipeline.yaml_reader import YamlFile, read_yaml
from trainer.recipes.stage_kinds import stage_kind

# Each name is a module of this folder with a function `recipe()`.
RECIPES = {
    "finetune": "a base model and a preference file -> a release, by LoRA",
    "own_repository": "a clone of your repository -> a release, from its history, by LoRA",
    "pfpo": "rounds of DPO on votes of a policy's own programs, as in PFPO, on a 7B model",
    "pfpo_process": "the same, with rounds that train on pairs of prefixes, too",
    "pfpo_cpu": "pfpo on two CPU cores, beside labels by given tests and at random",
    "pfpo_math": "rounds of DPO on votes of a policy's own final answers, on a 7B model",
    "pfpo_math_cpu": "the same on two CPU cores, beside given answers and random labels",
    "code_dpo": "DPO on a policy's own programs, judged by given tests",
    "cpu_tiny": "all stages in minutes on two CPU cores, from the packages installed here",
    "tiny_code_rm": "the embedded default release: cpu_tiny with more packages and steps",
    "codepmp_cpu": "the paper's method on two CPU cores: vLLM writes both sides of the pairs",
    "codepmp_smollm2": "the paper's method by two real language models, on SmolLM2-135M",
    "codepmp_smollm2_gpu": "the same with larger numbers, for one GPU",
    "codepmp_smollm2_8gpu": "the same with eight times those, for eight GPUs",
    "codepmp_qwen2_1_5b": "CodePMP as published, on Qwen2-1.5B",
    "codepmp_qwen2_7b": "CodePMP as published, on Qwen2-7B",
}

YAML = (".yaml", ".yml")
SUFFIXES = (".py", *YAML)
"""Endings of the files that are recipes."""

_BUILT_IN_COMMAND = re.compile(rf"python -m trainer run --recipe ({'|'.join(RECIPES)}) --work WORK")


def open_recipe(name: str) -> Recipe:
    """The built-in recipe of this name, or the one in a .py or .yaml file.

    It imports its stages, and with them torch.

    Raises:
        StageError: there is no such recipe, or the file has a mistake.
    """
    if Path(name).suffix in SUFFIXES:
        return _from_file(Path(name), ())
    if name not in RECIPES:
        raise StageError(no_such_recipe(name))
    recipe: Recipe = import_module(f"trainer.recipes.{name}").recipe()
    return recipe


def no_such_recipe(name: str) -> str:
    """The message about a name that is no recipe."""
    message = unknown("recipe", name, RECIPES, "the recipes are")
    return f"{message}. A recipe of your own is a file that ends in .py or .yaml"


def root_of(name: str) -> str:
    """The built-in recipe or the Python file that is behind a chain of YAML files.

    Raises:
        StageError: a file of the chain is no recipe.
    """
    chain: tuple[Path, ...] = ()
    while Path(name).suffix in YAML:
        chain = _longer(chain, Path(name))
        name = _named_by(read_yaml(Path(name)))
    return name if name in RECIPES else str(Path(name).resolve())


def _named_by(source: YamlFile) -> str:
    name = extended_name(source)
    return str(source.file.parent / name) if Path(name).suffix in SUFFIXES else name


def _longer(within: tuple[Path, ...], file: Path) -> tuple[Path, ...]:
    """The chain of files that extend each other, with one more; refuse one that closes a circle."""
    chain = (*within, file.resolve())
    if chain[-1] in within:
        names = " -> ".join(each.name for each in chain)
        raise StageError(f"{file} extends itself ({names}): extend another recipe")
    return chain


def _from_file(file: Path, within: tuple[Path, ...]) -> Recipe:
    command = f"python -m trainer run --recipe {file.name} --work WORK"
    if file.suffix not in YAML:
        recipe = python_recipe(file)
        # A release tells how it was made: by this file, and not by the recipe that it calls.
        inherited = "publish" in recipe.stages and _BUILT_IN_COMMAND.fullmatch(
            recipe["publish"].config.command
        )
        return recipe.changed("publish", command=command) if inherited else recipe
    chain = _longer(within, file)
    source = read_yaml(file)
    name = _named_by(source)
    if Path(name).suffix in SUFFIXES:
        base = _from_file(Path(name), chain)
    elif name in RECIPES:
        base = open_recipe(name)
    else:
        raise source.mistake(("extends",), no_such_recipe(name))
    recipe = extended(source, base, stage_kind)
    if "publish" in recipe.stages and ("publish", "command") not in source.lines:
        recipe = recipe.changed("publish", command=command)
    return recipe
