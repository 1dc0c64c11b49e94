"""The command `train`: a base and a preference file -> a release, and the line that serves it."""

import dataclasses
import json
import re
import shlex
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from pydantic import TypeAdapter

from reward_model.release.release import sha256
from trainer.autoconfig import base as bases
from trainer.autoconfig import data as files
from trainer.autoconfig.choices import Choices, choose
from trainer.autoconfig.data import Data
from trainer.autoconfig.machine import this_machine
from trainer.evaluation.reporting import report as reports
from trainer.pipeline.overrides import overridden
from trainer.pipeline.recipe import Recipe
from trainer.pipeline.running import run_recipe
from trainer.pipeline.stage import StageError
from trainer.planning.cost import checkpoint_bytes
from trainer.recipes import finetune

# What a run was asked for and what was chosen: the same line goes on with the same choices, also
# where the machine has less memory at hand by then.
RECORD = "train.json"


@dataclass(frozen=True)
class TrainRequest:
    """What the user says on the command line.

    Attributes:
        out: folder of the run; empty for one in `work` that is named after the data.
        columns: `FIELD=COLUMN`, for columns with other names.
        settings: `STAGE.FIELD=VALUE`, as `--set` takes them.
        hours: bound of the estimated time; None is an hour on a CPU, and none on a GPU.
    """

    base: str
    data: str
    eval: str = ""
    out: str = ""
    format: str = ""
    columns: tuple[str, ...] = ()
    max_steps: int | None = None
    hours: float | None = None
    settings: tuple[str, ...] = ()


def train(request: TrainRequest, *, dry_run: bool) -> None:
    """Print the plan and, unless that is all that is wanted, carry it out.

    Raises:
        StageError, ReleaseError: something is missing or unclear; the message says what to do.
    """
    out = folder_of(request)
    asked = identity(request)
    record = recorded(out, asked)
    if record and not dry_run:
        print(f"{out} holds a run of this line, which goes on", flush=True)
        recipe = read_recipe(record)
    else:
        recipe = plan(request, out, dry_run=dry_run)
    if dry_run:
        print("\nThis was the plan; nothing was run or written.")
        return
    prepare(out)
    if not record:
        write_record(out, asked, recipe)
    run_recipe(recipe, out, None, None)
    print(conclusion(out))


def folder_of(request: TrainRequest) -> Path:
    """The run's folder, which does not depend on where the user stands later."""
    if request.out:
        return Path(request.out).expanduser().resolve()
    return Path("work", f"train-{stem(request.data)}").resolve()


def stem(file: str) -> str:
    """A file's name without its endings, of letters that a folder and a release may have."""
    return re.sub(r"[^\w-]+", "-", Path(file).name.split(".")[0]).strip("-") or "data"


def existing(file: str, option: str) -> Path:
    """The absolute path of a file that the user names.

    Raises:
        StageError: there is none.
    """
    path = Path(file).expanduser().resolve()
    if not path.is_file():
        what = "is a folder: name a file in it" if path.is_dir() else "is not there"
        raise StageError(f"{option} {file} {what}")
    return path


def identity(request: TrainRequest) -> dict[str, object]:
    """What must be the same for a run to go on: the line, and the contents of its files."""
    fields: dict[str, object] = dataclasses.asdict(request)
    del fields["out"]
    fields["base"] = str(path.resolve()) if (path := Path(request.base)).exists() else request.base
    for option in ("data", "eval"):
        if named := getattr(request, option):
            path = existing(named, f"--{option}")
            fields[option] = str(path)
            fields[f"contents of {option}"] = sha256(path)
    plain: dict[str, object] = json.loads(json.dumps(fields))
    return plain


def recorded(out: Path, asked: dict[str, object]) -> dict[str, object] | None:
    """The record of a run of this line in the folder; None where the folder is new.

    Raises:
        StageError: it holds something else.
    """
    file = out / RECORD
    if not file.is_file():
        if out.is_dir() and any(out.iterdir()):
            raise StageError(f"{out} holds other files: name an empty or a new folder with --out")
        return None
    record: dict[str, object] = json.loads(file.read_text())
    before = record["asked"]
    assert isinstance(before, dict)
    names = sorted(before.keys() | asked.keys())
    if differ := [name for name in names if before.get(name) != asked.get(name)]:
        shown = "; ".join(
            f"{name} was {json.dumps(before.get(name))} and is {json.dumps(asked.get(name))}"
            for name in differ
        )
        raise StageError(
            f"{out} holds a run of another line ({shown}): name another --out, delete it, or give "
            "the line that it was begun with"
        )
    return record


def plan(request: TrainRequest, out: Path, *, dry_run: bool) -> Recipe:
    """Look at base, data and machine, choose what is open, and print it all."""
    settings = list(request.settings)
    if request.max_steps is not None:
        settings.append(f"finetune.max_steps={request.max_steps}")
    given = frozenset(setting.partition("=")[0] for setting in settings)
    begun = finetune.recipe()
    for path in ("finetune.lora",):
        if any(each.startswith(f"{path}.") for each in given):
            given |= {path}
    recipe = overridden(begun, settings)

    base = bases.look(request.base, weights=not dry_run)
    machine = this_machine(base.shape.hidden)
    named = columns_of(request.columns)
    max_pairs = files.MAX_PAIRS[machine.is_gpu]
    data = files.look(
        existing(request.data, "--data"),
        base.encoder,
        name="data",
        kind=request.format,
        named=named,
        max_pairs=max_pairs,
    )
    held = None
    if request.eval:
        file = existing(request.eval, "--eval")
        held = files.look(
            file,
            base.encoder,
            name="eval",
            kind=request.format,
            named=named,
            max_pairs=max_pairs,
        )
    recipe = with_sources(recipe, data, held, given)
    recipe = with_names(recipe, request, base, given)
    hours = request.hours
    if hours is None:
        hours = 0.0 if machine.is_gpu else 1.0
    choices = Choices(recipe, given)
    choose(choices, base, data, machine, hours, own_eval=held is not None)
    print(table(request, out, base, data, held, choices))
    return choices.recipe


def columns_of(columns: tuple[str, ...]) -> dict[str, str]:
    """`FIELD=COLUMN` as a table."""
    named = {}
    for each in columns:
        field, equals, column = each.partition("=")
        if not (field and equals and column):
            raise StageError(f"--column {each}: write FIELD=COLUMN, as in --column prompt=question")
        named[field] = column
    return named


def with_sources(recipe: Recipe, data: Data, held: Data | None, given: frozenset[str]) -> Recipe:
    """The recipe that reads these files, the second one for evaluation alone."""
    if "preferences.sources" in given:
        return recipe
    sources = [data.source]
    if held:
        sources.append(dataclasses.replace(held.source, split="evaluation"))
    return recipe.changed("preferences", sources=tuple(sources))


def with_names(
    recipe: Recipe, request: TrainRequest, base: bases.Base, given: frozenset[str]
) -> Recipe:
    """The recipe with its start, and a release named after base and data."""
    recipe = recipe.changed("finetune", start=base.start)
    if base.chat_template and "finetune.chat_template" not in given:
        recipe = recipe.changed("finetune", chat_template=base.chat_template)
    name = f"{stem(Path(base.start).name)}-{stem(request.data)}"[:60]
    if "publish.name" not in given:
        recipe = recipe.changed("publish", name=name)
    return recipe.changed("publish", command=command(request))


def command(request: TrainRequest) -> str:
    """The line that makes this release again."""
    words = ["scripts/train", "--base", request.base, "--data", request.data]
    for option, value in (
        ("--eval", request.eval),
        ("--out", request.out),
        ("--format", request.format),
        *(("--column", each) for each in request.columns),
        ("--max-steps", request.max_steps),
        ("--hours", request.hours),
        *(("--set", each) for each in request.settings),
    ):
        if value not in ("", None):
            words += [option, f"{value}"]
    return shlex.join(words)


def table(
    request: TrainRequest,
    out: Path,
    base: bases.Base,
    data: Data,
    held: Data | None,
    choices: Choices,
) -> str:
    """The plan for the terminal: what is read, what was chosen and why, time, disk, warnings."""
    lines = ["", *data.said, *(held.said if held else [])]
    lines += [f"{request.base}: {note}" for note in base.notes]
    lines.append("")
    width = max(len(each.name) for each in choices.made)
    wide = max(len(each.value) for each in choices.made)
    lines += [f"  {each.name:{width}}  {each.value:{wide}}  {each.why}" for each in choices.made]
    total = sum(choices.seconds.values())
    parts = ", ".join(f"{name} {short(took)}" for name, took in choices.seconds.items())
    disk = 2 * checkpoint_bytes(base.shape, choices.planned)
    lines += ["", f"time    about {short(total)} by a short measurement of this machine ({parts})"]
    lines.append(f"disk    up to {disk / 1e9:.1f} GB in {out}")
    bias = data.bias
    lines += [f"warning {each}" for each in choices.warnings]
    if bias.severity == "warning":
        lines.append(f"warning {bias.check}: {bias.message}")
    return "\n".join(lines)


def short(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))


def prepare(out: Path) -> None:
    """Make the folder, and find out whether it can be written.

    Raises:
        StageError: it cannot.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        probe = out / ".probe"
        probe.write_text("")
        probe.unlink()
    except OSError as error:
        raise StageError(
            f"{out} cannot be written ({error.strerror}): name another folder with --out"
        ) from error


def write_record(out: Path, asked: dict[str, object], recipe: Recipe) -> None:
    """Keep what was asked and chosen; the file is there whole or not at all."""
    chosen = {name: dataclasses.asdict(stage.config) for name, stage in recipe.stages.items()}
    draft = out / f".{RECORD}"
    draft.write_text(json.dumps({"asked": asked, "chosen": chosen}, indent=1) + "\n")
    draft.replace(out / RECORD)


def read_recipe(record: dict[str, object]) -> Recipe:
    """The recipe with the choices of a record."""
    chosen = record["chosen"]
    assert isinstance(chosen, dict)
    recipe = finetune.recipe()
    for name, fields in chosen.items():
        adapter: TypeAdapter[object] = TypeAdapter(type(recipe[name].config))
        config = adapter.validate_json(json.dumps(fields))
        assert dataclasses.is_dataclass(config)
        assert not isinstance(config, type)
        recipe = recipe.with_config(name, config)
    return recipe


def conclusion(out: Path) -> str:
    """The release's accuracy beside the baseline of length, and the line that serves it."""
    row = reports.read(out / "release").headline.tables[0].rows["overall"]
    model, length = row["model"], row["length_only"]
    release = shlex.quote(str(out / "release"))
    return "\n".join(
        [
            "",
            f"The release is right in {model.value:.1%} of {model.n:,} held-out pairs "
            f"(95 % interval {model.low:.1%} to {model.high:.1%}); the longer answer is right in "
            f"{length.value:.1%} ({length.low:.1%} to {length.high:.1%}).",
            f"The report is {out / 'release' / 'report.html'}. To serve the release:",
            "",
            f"    scripts/serve --model {release}",
        ]
    )
