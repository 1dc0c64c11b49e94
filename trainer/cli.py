"""The command line: its options, and how a command's failure is told."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from reward_model.release.release import ReleaseError
from trainer import commands
from trainer.pipeline.stage import StageError
from trainer.pipeline.stages import STAGES, kind_of
from trainer.planning.gpus import GPUS
from trainer.recipes import RECIPES, SUFFIXES, no_such_recipe

TOOLS = {
    "train": "a base model and a preference file -> a release, with defaults by size and machine",
    "run": "run the stages that are not up to date, and print why each of them ran",
    "plan": "estimate tokens, FLOPs, memory, hours and disk before anything runs",
    "doctor": "check the data that the finetune stage would train on, without training",
    "show": "print a recipe as YAML that --recipe reads back, with every field of its configs",
    "grade": "run samples of code against the tests of MBPP or HumanEval, and print pass@k",
    "sandbox": "try the walls between programs and this machine, and print which of them hold",
    "verify": "check a release, in a directory or at a URL, against its manifest",
    "push": "copy a release to a folder, an object store or the Hugging Face hub",
}

_INTERRUPTED = 130  # as shells have it, 128 and the number of SIGINT


def parsed(arguments: Sequence[str]) -> argparse.Namespace:
    """The options of a command line; the process exits with 2 where they are wrong."""
    given = list(arguments)
    stage = given[0] if given else ""
    # A round's stage, such as samples_2, has the options of its kind, and a stage that a recipe of
    # one's own defines has those of any stage.
    kind = kind_of(stage)
    if kind not in {*STAGES, *TOOLS} and {"--recipe", "--work"} <= set(given[1:]):
        kind = next(iter(STAGES))
    options = parser().parse_args([kind, *given[1:]] if given else given)
    if options.command != stage and options.command in STAGES:
        options.command = stage
    return options


def main(arguments: Sequence[str]) -> int:
    """Run a command; returns 1 when it fails, after a message that says what to do, or 130."""
    options = parsed(arguments)
    command: Callable[[argparse.Namespace], None] = options.function
    try:
        if getattr(options, "quiet", False):
            commands.quietly(command, options)
        else:
            command(options)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever reads has read enough, as `head` does. The interpreter flushes once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _INTERRUPTED
    except KeyboardInterrupt:
        print(f"trainer {options.command}: interrupted", file=sys.stderr)
        return _INTERRUPTED
    except (StageError, ReleaseError) as error:
        message = str(error)
        for note in getattr(error, "__notes__", ()):  # the traceback of a recipe's own code
            print(note, file=sys.stderr)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in ("trainer", "reward_model"):
            raise  # a mistake in this code, not in the installation
        message = f"{missing} is not installed: run scripts/install trainer"
    except OSError as error:
        if error.errno is None:
            raise  # of a library, and not of a file
        # A full disk, a folder that cannot be written: what is wrong is not in this code.
        place = f"{error.filename}: " if error.filename else ""
        message = (
            f"{place}{error.strerror}: free some space, or correct the path or its permissions"
        )
    else:
        return 0
    print(f"trainer {options.command}: {message}", file=sys.stderr)
    return 1


def overview() -> str:
    """The text above the options of `--help`."""

    def table(entries: dict[str, str]) -> str:
        width = max(map(len, entries)) + 2
        return "\n".join(f"  {name:<{width}}{text}" for name, text in entries.items())

    return f"""\
Trains a reward model, from source code to a release. Each stage reads the folders of earlier stages
in the work folder and writes its own, so any stage can be run again alone. A recipe with rounds or
arms adds a suffix to a stage's name, as in samples_2.

stages, in the order in which they run:   python -m trainer STAGE --recipe NAME|FILE --work DIR
{table(STAGES)}

tools:
{table(TOOLS)}

recipes, beside your own (FILE.py, FILE.yaml; docs/recipes.md):
{table(RECIPES)}

examples:
  python -m trainer run --recipe cpu_tiny --work work/tiny
  python -m trainer run --recipe cpu_tiny --work work/tiny --from calibrate
  python -m trainer pretrain --recipe cpu_tiny --work work/tiny --set pretrain.max_steps=50
  python -m trainer plan --recipe codepmp_qwen2_7b --gpu h200 --gpus 8
  python -m trainer push work/tiny/release s3://bucket/models/tiny
  python -m trainer verify s3://bucket/models/tiny
"""


def parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    # `overview` lists stages and tools apart; argparse's own list of commands would mix them.
    top = argparse.ArgumentParser(
        prog="python -m trainer",
        usage="python -m trainer COMMAND ... (COMMAND --help explains its options)",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=overview(),
    )
    known = top.add_subparsers(
        dest="command", required=True, metavar="COMMAND", help="see above", prog="python -m trainer"
    )

    def add(
        name: str, description: str, function: Callable[[argparse.Namespace], None]
    ) -> argparse.ArgumentParser:
        command = known.add_parser(name, description=f"{description}.")
        command.set_defaults(function=function)
        return command

    for stage, text in STAGES.items():
        add_run(add(stage, f"Run one stage: {text}", commands.run_one_stage))

    tools = {name: f"{text[0].upper()}{text[1:]}" for name, text in TOOLS.items()}
    train = add("train", tools["train"], commands.train_on_file)
    add_train(train)
    add_quiet(train)
    run = add("run", tools["run"], commands.run_stages)
    add_run(run)
    run.add_argument("--from", dest="first", metavar="STAGE", help="default: the first stage")
    run.add_argument("--to", dest="last", metavar="STAGE", help="default: the last stage")
    plan = add("plan", tools["plan"], commands.show_plan)
    add_recipe(plan)
    plan.add_argument(
        "--work", type=Path, help="work folder of a run; the plan uses the sizes of its data"
    )
    add_plan(plan, dry_run=False)
    add_json(plan)
    doctor = add("doctor", tools["doctor"], commands.examine)
    add_recipe(doctor)
    add_work(doctor)
    show = add("show", tools["show"], commands.show)
    add_recipe(show)
    show.add_argument(
        "--schema",
        action="store_true",
        help="print the JSON Schema of YAML files that extend the recipe, for editors",
    )
    add_json(show)
    add_grade(add("grade", tools["grade"], commands.grade_samples))
    add_sandbox(add("sandbox", tools["sandbox"], commands.try_sandbox))
    verify = add("verify", tools["verify"], commands.verify_release)
    verify.add_argument("release", help="directory, s3://... or another URL, or hf://owner/name")
    add_json(verify)
    add_push(add("push", tools["push"], commands.push_release))
    return top


def add_run(command: argparse.ArgumentParser) -> None:
    """Add the options of what runs stages of a recipe."""
    add_recipe(command)
    add_work(command)
    add_plan(command, dry_run=True)
    add_quiet(command)


def add_recipe(command: argparse.ArgumentParser) -> None:
    """Add the options that choose a recipe and change its configs."""
    command.add_argument(
        "--recipe",
        type=recipe_name,
        required=True,
        metavar="NAME|FILE",
        help="name of a recipe, or a .py or .yaml file with one of your own",
    )
    command.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="STAGE.FIELD=VALUE",
        help="change a field of a config; may be repeated; `show` lists all fields",
    )


def add_train(command: argparse.ArgumentParser) -> None:
    """Add what `train` reads and writes, and what it would otherwise choose."""
    command.add_argument(
        "--base", required=True, help="folder or hub id of the model to start from"
    )
    command.add_argument(
        "--data", required=True, help="preferences: JSON Lines, JSON, CSV or Parquet, also .gz"
    )
    command.add_argument(
        "--eval", default="", help="file to evaluate on, in place of held-out rows"
    )
    command.add_argument(
        "--out", default="", help="folder of the run; default: work/train-NAME-OF-DATA"
    )
    command.add_argument("--max-steps", type=int, help="optimizer steps; default: by rows and time")
    command.add_argument(
        "--hours",
        type=float,
        help="bound of the estimated time, 0 for none; default: 1 on a CPU, none on a GPU",
    )
    command.add_argument(
        "--max-pairs", type=int, help="pairs of one prompt; default: 4 on a CPU, 16 on a GPU"
    )
    command.add_argument(
        "--format", default="", help="format of the data, if it is not clear (docs/training.md)"
    )
    command.add_argument(
        "--column",
        action="append",
        default=[],
        metavar="FIELD=COLUMN",
        help="a column with another name, as in prompt=question; may be repeated",
    )
    command.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="STAGE.FIELD=VALUE",
        help="change any field of the recipe finetune, as in finetune.learning_rate=1e-5",
    )
    command.add_argument("--dry-run", action="store_true", help="print the plan, run nothing")


def recipe_name(text: str) -> str:
    """The text, where it may be a recipe's; whether a file is one is seen when it is read."""
    if text not in RECIPES and Path(text).suffix not in SUFFIXES:
        raise argparse.ArgumentTypeError(no_such_recipe(text))
    return text


def add_quiet(command: argparse.ArgumentParser) -> None:
    """Add the option that leaves only errors to be printed."""
    command.add_argument(
        "--quiet", action="store_true", help="print errors only, and no progress or report"
    )


def add_json(command: argparse.ArgumentParser) -> None:
    """Add the option by which a program reads what the command prints."""
    command.add_argument("--json", action="store_true", help="print JSON")


def add_work(command: argparse.ArgumentParser) -> None:
    """Add the option that names the work folder."""
    command.add_argument(
        "--work", type=Path, required=True, help="folder of the run, with a folder for each stage"
    )


def add_push(command: argparse.ArgumentParser) -> None:
    """Add what is copied and where to."""
    command.add_argument("release", type=Path, help="directory of the release")
    command.add_argument("destination", help="folder, s3://... or another URL, or hf://owner/name")
    command.add_argument(
        "--force", action="store_true", help="replace another release that is already there"
    )


def add_sandbox(command: argparse.ArgumentParser) -> None:
    """Add the options that choose the walls to try."""
    command.add_argument(
        "--isolation", choices=["bubblewrap", "sandbox_fusion", "none"], default="bubblewrap"
    )
    command.add_argument("--url", default="", help="address of the SandboxFusion server")
    add_json(command)


def add_grade(command: argparse.ArgumentParser) -> None:
    """Add what `grade` reads and writes, and how programs are run."""
    command.add_argument("problems", help="JSON Lines or Parquet of MBPP or HumanEval, also .gz")
    command.add_argument("samples", help="rows with task_id, and solution or completion")
    command.add_argument("output", type=Path, help="file that gets a row for each sample")
    command.add_argument(
        "--isolation",
        choices=["bubblewrap", "sandbox_fusion", "none"],
        default="bubblewrap",
        help="walls; none runs programs with all your rights; default: %(default)s",
    )
    command.add_argument("--url", default="", help="address of a SandboxFusion server")
    command.add_argument("--workers", type=int, default=0, help="default: one for each core")
    command.add_argument(
        "--cpu-seconds", type=float, default=4.0, help="CPU time of a test; default: %(default)s"
    )
    command.add_argument(
        "--wall-seconds",
        type=float,
        default=20.0,
        help="limit behind that, for programs that sleep; default: %(default)s",
    )
    command.add_argument(
        "--memory-mib", type=int, default=1024, help="memory of a test; default: %(default)s"
    )
    command.add_argument(
        "--max-timeouts",
        type=int,
        help="a sample that timed out so often counts as timed out on its further tests",
    )
    command.add_argument(
        "--tolerance",
        type=float,
        default=1e-6,
        help="absolute or relative difference of equal numbers; default: %(default)s",
    )


def add_plan(command: argparse.ArgumentParser, *, dry_run: bool) -> None:
    """Add the options of a plan.

    Args:
        dry_run: the command runs something else, and plans only with `--dry-run`.
    """
    group: argparse._ActionsContainer = command
    if dry_run:
        group = command.add_argument_group("print a plan instead of running")
        group.add_argument("--dry-run", action="store_true", help="print the plan, run nothing")
    group.add_argument(
        "--gpu", choices=list(GPUS), default="h200", help="kind of device; default: %(default)s"
    )
    group.add_argument(
        "--gpus", type=int, default=1, help="number of devices; default: %(default)s"
    )
    group.add_argument(
        "--mfu",
        type=float,
        default=0.4,
        help="share of the peak FLOP/s that is reached; default: %(default)s",
    )
