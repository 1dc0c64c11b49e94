"""The command line: what is asked, and which function does it. Torch is imported with a recipe."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from reward_model.release.release import ReleaseError
from trainer.pipeline.recipe import Recipe
from trainer.pipeline.stage import StageError
from trainer.pipeline.stages import STAGES
from trainer.planning.gpus import GPUS, Devices
from trainer.recipes import RECIPES, open_recipe

_TOOLS = {
    "run": "run the stages that are not up to date, and say why each ran or not",
    "plan": "tokens, FLOPs, memory, hours and disk of a recipe, before anything runs",
    "doctor": "examine what the finetune stage would train on, without training",
    "show": "every field of a recipe's configs, as --set takes it",
    "verify": "check a release, here or at a URL, against its manifest",
    "push": "copy a release to a folder, an object store or the Hugging Face hub",
}
_OURS = frozenset({"trainer", "reward_model"})


def main(arguments: Sequence[str]) -> int:
    """Do what is asked; 1 when that cannot be done, with a message that says what to do."""
    options = parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], None] = options.function
    try:
        command(options)
    except (StageError, ReleaseError) as error:
        return _failed(options.command, str(error))
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in _OURS:
            raise
        return _failed(options.command, f"{missing} is not installed: run scripts/install trainer")
    return 0


def parser() -> argparse.ArgumentParser:
    """Commands in two groups: argparse itself lists them as one."""
    found = argparse.ArgumentParser(
        prog="python -m trainer",
        usage="python -m trainer COMMAND ... (COMMAND --help says more)",
        description=_overview(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = found.add_subparsers(
        dest="command", required=True, metavar="COMMAND", help="above", prog="python -m trainer"
    )
    for stage, what in STAGES.items():
        command = commands.add_parser(stage, description=f"TrainingRun one stage: {what}.")
        _add_recipe(command)
        _add_plan(command.add_argument_group("the plan, instead of running"), dry_run=True)
        command.set_defaults(function=_stage)
    for tool, (add, function) in _tools().items():
        command = commands.add_parser(tool, description=f"{_TOOLS[tool].capitalize()}.")
        add(command)
        command.set_defaults(function=function)
    return found


def _tools() -> dict[
    str, tuple[Callable[[argparse.ArgumentParser], None], Callable[[argparse.Namespace], None]]
]:
    return {
        "run": (_add_run, _run),
        "plan": (_add_only_plan, _plan),
        "doctor": (_add_recipe, _doctor),
        "show": (lambda command: _add_recipe(command, work=False), _show),
        "verify": (_add_verify, _verify),
        "push": (_add_push, _push),
    }


def _overview() -> str:
    def table(entries: dict[str, str]) -> str:
        width = max(map(len, entries)) + 2
        return "\n".join(f"  {name:<{width}}{what}" for name, what in entries.items())

    return f"""\
Source code in, a released reward model out. Each stage reads the folders of earlier ones in DIR
and writes its own, its manifest last, so any of them can be run again alone.

stages, in order:   python -m trainer STAGE --recipe NAME --work DIR
{table(STAGES)}

tools:
{table(_TOOLS)}

recipes:
{table(RECIPES)}

examples:
  python -m trainer run --recipe cpu_tiny --work work/tiny
  python -m trainer run --recipe cpu_tiny --work work/tiny --from calibrate
  python -m trainer pretrain --recipe cpu_tiny --work work/tiny --set pretrain.max_steps=50
  python -m trainer plan --recipe codepmp_qwen2_7b --gpu h200 --gpus 8
  python -m trainer push work/tiny/release s3://bucket/models/tiny
  python -m trainer verify s3://bucket/models/tiny
"""


def _add_recipe(command: argparse.ArgumentParser, *, work: bool = True) -> None:
    command.add_argument("--recipe", choices=list(RECIPES), required=True)
    if work:
        command.add_argument("--work", type=Path, required=True, help="folder of this run")
    command.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="STAGE.FIELD=VALUE",
        help="another value in a config; may be repeated; `show` lists all fields",
    )


def _add_run(command: argparse.ArgumentParser) -> None:
    _add_recipe(command)
    command.add_argument("--from", dest="first", metavar="STAGE", help="default: the first")
    command.add_argument("--to", dest="last", metavar="STAGE", help="default: the last")
    _add_plan(command.add_argument_group("the plan, instead of running"), dry_run=True)


def _add_only_plan(command: argparse.ArgumentParser) -> None:
    _add_recipe(command, work=False)
    command.add_argument("--work", type=Path, help="folder of a run, whose data sizes count")
    _add_plan(command, dry_run=False)


def _add_plan(group: argparse._ActionsContainer, *, dry_run: bool) -> None:
    if dry_run:
        group.add_argument("--dry-run", action="store_true", help="print the plan, run nothing")
    group.add_argument("--gpu", choices=list(GPUS), default="h200", help="default: %(default)s")
    group.add_argument("--gpus", type=int, default=1, help="how many; default: %(default)s")
    group.add_argument(
        "--mfu", type=float, default=0.4, help="share of peak FLOPs reached; default: %(default)s"
    )


def _add_verify(command: argparse.ArgumentParser) -> None:
    command.add_argument("release", help="directory, s3://... or another URL, or hf://owner/name")


def _add_push(command: argparse.ArgumentParser) -> None:
    command.add_argument("release", type=Path, help="release directory")
    command.add_argument("destination", help="folder, s3://... or another URL, or hf://owner/name")
    command.add_argument("--force", action="store_true", help="replace another release there")


def _recipe(options: argparse.Namespace) -> Recipe:
    from trainer.pipeline.overrides import overridden

    return overridden(open_recipe(options.recipe), options.set)


def _stage(options: argparse.Namespace) -> None:
    from trainer.pipeline.running import run_stage

    recipe = _recipe(options)
    if options.dry_run:
        _print_plan(options, recipe, [options.command])
        return
    run_stage(options.command, recipe, options.work)


def _run(options: argparse.Namespace) -> None:
    from trainer.pipeline.running import run_recipe

    recipe = _recipe(options)
    if options.dry_run:
        _print_plan(options, recipe, recipe.between(options.first, options.last))
        return
    run_recipe(recipe, options.work, options.first, options.last)


def _doctor(options: argparse.Namespace) -> None:
    from trainer.training.finetune import FinetuneConfig, diagnose

    recipe = _recipe(options)
    if "finetune" not in recipe.stages:
        raise StageError(
            f"it examines what finetune would train on, and {recipe.name} has no such stage: "
            "take a recipe that finetunes, such as codepmp_cpu"
        )
    config = recipe["finetune"].config
    assert isinstance(config, FinetuneConfig)
    diagnose(config, options.work)


def _plan(options: argparse.Namespace) -> None:
    recipe = _recipe(options)
    _print_plan(options, recipe, list(recipe.stages))


def _print_plan(options: argparse.Namespace, recipe: Recipe, stages: list[str]) -> None:
    from trainer.planning.plan import plan
    from trainer.planning.table import text_of

    devices = Devices(GPUS[options.gpu], options.gpus, options.mfu)
    print(text_of(plan(recipe, stages, devices, options.work), devices))


def _show(options: argparse.Namespace) -> None:
    from trainer.pipeline.overrides import settings

    print("\n".join(settings(_recipe(options))))


def _verify(options: argparse.Namespace) -> None:
    from trainer.publishing.push import verified

    release = verified(options.release)
    print(f"{release.name} {release.version}: every file is the one its manifest names")


def _push(options: argparse.Namespace) -> None:
    from trainer.publishing.push import open_destination, push

    print(push(options.release, open_destination(options.destination), force=options.force))


def _failed(command: str, message: str) -> int:
    print(f"trainer {command}: {message}", file=sys.stderr)
    return 1
