"""What each command does, with the options that it was given.

Modules that need torch are imported where they are called, so that `--help` takes no time.
"""

import argparse
import contextlib
import dataclasses
import json
import os
from collections.abc import Callable
from pathlib import Path

from trainer.pipeline.progress import QUIET
from trainer.pipeline.recipe import Recipe
from trainer.pipeline.stage import StageError
from trainer.planning.gpus import GPUS, Devices
from trainer.recipes import open_recipe, root_of
from trainer.recipes.stage_kinds import MODULES, stage_kind


def quietly(command: Callable[[argparse.Namespace], None], options: argparse.Namespace) -> None:
    """Run a command without what it prints and without its progress; errors are printed."""
    # Libraries read these when they are imported, and worker processes inherit them.
    os.environ |= {QUIET: "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
        command(options)


def print_json(value: object) -> None:
    print(json.dumps(value, indent=1, ensure_ascii=False))


def open_with(options: argparse.Namespace) -> Recipe:
    """The chosen recipe with all `--set` applied."""
    from trainer.pipeline.overrides import overridden

    return overridden(open_recipe(options.recipe), options.set)


def train_on_file(options: argparse.Namespace) -> None:
    """Train on one preference file, or print the plan of it."""
    from trainer.autoconfig.request import TrainRequest
    from trainer.autoconfig.run import train

    request = TrainRequest(
        options.base,
        options.data,
        options.eval,
        options.out,
        options.format,
        tuple(options.column),
        options.max_steps,
        options.max_pairs,
        options.hours,
        tuple(options.set),
    )
    train(request, dry_run=options.dry_run)


def run_one_stage(options: argparse.Namespace) -> None:
    """Run the stage that the command is named after, or print its plan."""
    from trainer.pipeline.running import run_stage

    recipe = open_with(options)
    if options.dry_run:
        print_plan(options, recipe, [options.command])
    else:
        run_stage(options.command, recipe, options.work)


def run_stages(options: argparse.Namespace) -> None:
    """Run the stages that are not up to date, or print their plan."""
    from trainer.pipeline.running import run_recipe

    recipe = open_with(options)
    if options.dry_run:
        print_plan(options, recipe, recipe.between(options.first, options.last))
    else:
        run_recipe(recipe, options.work, options.first, options.last)


def show_plan(options: argparse.Namespace) -> None:
    """Print the plan of all stages."""
    print_plan(options, open_with(options))


def print_plan(
    options: argparse.Namespace, recipe: Recipe, stages: list[str] | None = None
) -> None:
    """Print the plan of some stages, by default of all."""
    from trainer.planning.plan import plan
    from trainer.planning.table import render

    devices = Devices(GPUS[options.gpu], options.gpus, options.mfu)
    plans = plan(recipe, stages or list(recipe.stages), devices, options.work)
    if getattr(options, "json", False):
        print_json([dataclasses.asdict(each) for each in plans])
    else:
        print(render(plans, devices))


def examine(options: argparse.Namespace) -> None:
    """Let the doctor check what the finetune stage would read."""
    from trainer.training.finetune import FinetuneConfig, diagnose

    recipe = open_with(options)
    if "finetune" not in recipe.stages:
        raise StageError(
            f"the doctor checks the data of the stage finetune, and {recipe.name} has no such "
            "stage: choose a recipe that finetunes, such as codepmp_cpu"
        )
    config = recipe["finetune"].config
    assert isinstance(config, FinetuneConfig)
    diagnose(config, options.work)


def show(options: argparse.Namespace) -> None:
    """Print the recipe as YAML, or the schema of the files that extend it."""
    from trainer.pipeline.recipe_schema import recipe_schema
    from trainer.pipeline.recipe_text import recipe_text

    if options.schema:
        kinds = {kind: stage_kind(kind)[0] for kind in MODULES}
        print_json(recipe_schema(open_with(options), kinds))
        return
    if options.json:
        stages = open_with(options).stages
        print_json({stage: dataclasses.asdict(entry.config) for stage, entry in stages.items()})
        return
    extends = root_of(options.recipe)
    print(recipe_text(open_with(options), extends, open_recipe(extends)), end="")


def verify_release(options: argparse.Namespace) -> None:
    from trainer.publishing.push import verified

    release = verified(options.release)
    if options.json:
        print_json({"name": release.name, "version": release.version, "verified": True})
    else:
        print(f"{release.name} {release.version}: every file matches the release's manifest")


def push_release(options: argparse.Namespace) -> None:
    from trainer.publishing.push import open_destination, push

    print(push(options.release, open_destination(options.destination), force=options.force))


def grade_samples(options: argparse.Namespace) -> None:
    """Grade samples of code against the tests of their problems."""
    from trainer.feedback.grade import GradeConfig, grade
    from trainer.feedback.sandbox.open import SandboxConfig
    from trainer.feedback.sandbox.types import Limits

    try:
        limits = Limits(
            cpu_seconds=options.cpu_seconds,
            wall_seconds=options.wall_seconds,
            memory_bytes=options.memory_mib << 20,
        )
    except ValueError as error:
        raise StageError(str(error)) from error
    grade(
        GradeConfig(
            options.problems,
            options.samples,
            options.output,
            limits,
            SandboxConfig(options.isolation, options.workers, options.url),
            options.tolerance,
            options.max_timeouts,
        )
    )


def try_sandbox(options: argparse.Namespace) -> None:
    """Print which walls hold; fails unless all do."""
    from trainer.feedback.sandbox.open import SandboxConfig
    from trainer.feedback.sandbox.self_test import examine_walls, require_walls

    config = SandboxConfig(options.isolation, workers=1, url=options.url)
    if not options.json:
        print(require_walls(config))
        return
    found = examine_walls(config)
    print_json([dataclasses.asdict(each) for each in found])
    if broken := [each.wall for each in found if not each.holds]:
        raise StageError(f"{len(broken)} walls do not hold: run no program that a model wrote")
