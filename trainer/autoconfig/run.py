"""The command `train`: a base and a preference file -> a release, and the line that serves it."""

import dataclasses
import fcntl
import shlex
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from trainer.autoconfig import base as bases
from trainer.autoconfig import data as files
from trainer.autoconfig.choice import Choices
from trainer.autoconfig.choices import choose
from trainer.autoconfig.data import Data
from trainer.autoconfig.machine import this_machine
from trainer.autoconfig.record import LOCK, recorded, write_record
from trainer.autoconfig.request import TrainRequest, existing, stem
from trainer.autoconfig.table import disk_bytes, table
from trainer.autoconfig.workload import Workload
from trainer.evaluation.reporting import report as reports
from trainer.pairs.criteria import Criteria, NamedCriterion, criteria_for, named_criteria
from trainer.pairs.row import PreferenceRow
from trainer.pipeline.overrides import overridden
from trainer.pipeline.recipe import Recipe
from trainer.pipeline.running import run_recipe
from trainer.pipeline.stage import StageError
from trainer.recipes import finetune


def train(request: TrainRequest, *, dry_run: bool) -> None:
    """Print the plan and, unless that is all that is wanted, carry it out.

    Raises:
        StageError, ReleaseError: something is missing or unclear; the message says what to do.
    """
    out, asked = request.folder, request.asked()
    recipe = recorded(out, asked)
    if dry_run:
        plan(request, out, dry_run=True)
        begun = f"{out} holds a run of this command, which would go on. " if recipe else ""
        print(f"\n{begun}This was the plan; nothing was run or written.")
        return
    with own_folder(out):
        if recipe:
            print(f"{out} holds a run of this command, which goes on as it was begun", flush=True)
        else:
            recipe = plan(request, out, dry_run=False)
            write_record(out, asked, recipe)
        try:
            run_recipe(recipe, out, None, None)
        except KeyboardInterrupt:
            raise StageError(f"stopped; the same command goes on with what is in {out}") from None
    print(conclusion(out))


@contextmanager
def own_folder(out: Path) -> Iterator[None]:
    """Make the run's folder and keep other runs out of it.

    Raises:
        StageError: it cannot be written, or another run has it.
    """
    made = not out.exists()
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock = (out / LOCK).open("w")
    except OSError as error:
        raise StageError(
            f"{out} cannot be written ({error.strerror}): name another folder with --out"
        ) from error
    # The lock goes with the process, however that ends.
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StageError(f"another run is at work in {out}: wait for it") from None
        try:
            yield
        finally:
            # Nothing is left of a run that was refused before it began.
            if made and [path.name for path in out.iterdir()] == [LOCK]:
                (out / LOCK).unlink()
                out.rmdir()


def plan(request: TrainRequest, out: Path, *, dry_run: bool) -> Recipe:
    """Look at base, data and machine, choose what is open, and print it all.

    Raises:
        StageError, ReleaseError: something is missing or unclear, or the run cannot end.
    """
    recipe = overridden(finetune.recipe(), request.overrides)
    given = frozenset(".".join(each.partition("=")[0].split(".")[:2]) for each in request.overrides)
    base = bases.inspect_base(request.base, weights=not dry_run)
    machine = this_machine(base.shape.hidden)

    named: tuple[NamedCriterion, ...] = recipe["finetune"].config.criteria

    def criteria_of(rows: list[PreferenceRow]) -> Criteria:
        criteria = criteria_for(named, base.criteria, rows)
        if criteria and base.refuses_criteria:
            raise StageError(base.refuses_criteria)
        return criteria

    def read(file: str, option: str) -> Data:
        return files.read_data(
            existing(file, f"--{option}"),
            base.encoder,
            name=option,
            kind=request.format,
            named=request.named_columns,
            max_pairs=request.max_pairs or files.MAX_PAIRS[machine.is_gpu],
            criteria_of=criteria_of,
        )

    data = read(request.data, "data")
    held = read(request.eval, "eval") if request.eval else None
    if held:
        data = data.without(held)
    choices = Choices(recipe, given)
    name_stages(choices, request, base, data, held)
    hours = request.hours
    if hours is None:
        hours = 0.0 if machine.is_gpu else 1.0
    choose(choices, Workload(base, data, machine), hours, own_eval=held is not None)
    print(table(request, out, base, data, held, choices), flush=True)
    require_space(disk_bytes(base, choices), out)
    return choices.recipe


def name_stages(
    choices: Choices, request: TrainRequest, base: bases.Base, data: Data, held: Data | None
) -> None:
    """Name the files, the start, and a release after both."""
    sources = [data.source]
    if held:
        sources.append(dataclasses.replace(held.source, split="evaluation"))
    choices.set("preferences.sources", tuple(sources))
    choices.set("finetune.start", base.start)
    choices.set("finetune.chat_template", base.chat_template)
    # Written out, so that the run's recipe shows the prompts of its release.
    criteria = {**(held.criteria if held else {}), **data.criteria}
    choices.set("finetune.criteria", named_criteria(criteria))
    name = f"{stem(Path(base.start).name)}-{stem(request.data)}"
    choices.set("publish.name", name[:60])
    choices.set("publish.command", request.command)


def require_space(needed: float, out: Path) -> None:
    """Raise StageError where the disk would be full before the run has ended."""
    there = next(folder for folder in (out, *out.parents) if folder.exists())
    free = shutil.disk_usage(there).free
    if free < needed:
        raise StageError(
            f"{out}: {free / 1e9:.1f} GB are free there, and the run writes up to "
            f"{needed / 1e9:.1f} GB: free some, or name another folder with --out"
        )


def conclusion(out: Path) -> str:
    """The release's accuracy beside the baseline of length, and the line that serves it."""
    row = reports.read(out / "release").headline.tables[0].rows["overall"]
    model, length = row["model"], row["length_only"]
    verdict = ""
    if model.low <= length.value:
        verdict = (
            "\nThe interval does not lie above that of the longer answer: more pairs, more steps "
            "or a larger base may be needed."
        )
    return "\n".join(
        [
            "",
            f"The release ranks {model.value:.1%} of {model.n:,} held-out pairs right (95 % "
            f"interval {model.low:.1%} to {model.high:.1%}); taking the longer answer is right in "
            f"{length.value:.1%} ({length.low:.1%} to {length.high:.1%}).{verdict}",
            f"Its report is {out / 'release' / 'report.html'}. This serves it:",
            "",
            f"    scripts/serve --model {shlex.quote(str(out / 'release'))}",
        ]
    )
