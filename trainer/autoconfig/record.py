"""The record of a run in its folder: what was asked for and what was chosen.

The same command goes on with the same choices, also where the machine has less memory free by then.
Another command is refused, because its rows and weights would be mixed with those that are there.
"""

import dataclasses
import json
from pathlib import Path

from pydantic import TypeAdapter

from trainer.pipeline.recipe import Recipe
from trainer.pipeline.stage import StageError
from trainer.recipes import finetune

RECORD = "train.json"

Asked = dict[str, object]
"""What must be the same for a run to go on: the options, and the contents of the files."""


def recorded(out: Path, asked: Asked) -> Recipe | None:
    """The recipe of a run of this command that the folder holds; None where the folder is new.

    Raises:
        StageError: it holds something else.
    """
    file = out / RECORD
    if not file.is_file():
        # A run that was killed before its record was there has left nothing but that.
        if out.is_dir() and any(path.name not in OWN for path in out.iterdir()):
            raise StageError(f"{out} holds other files: name an empty or a new folder with --out")
        return None
    try:
        record = json.loads(file.read_text())
        before, chosen = dict(record["asked"]), dict(record["chosen"])
    except (ValueError, KeyError, TypeError) as error:
        raise StageError(f"{file} cannot be read: name another folder with --out") from error
    names = sorted(before.keys() | asked.keys())
    if differ := [name for name in names if before.get(name) != asked.get(name)]:
        shown = "; ".join(
            f"{name} was {json.dumps(before.get(name))} and is {json.dumps(asked.get(name))}"
            for name in differ
        )
        raise StageError(
            f"{out} holds a run of another command ({shown}): name another folder with --out, "
            "delete this one, or give the command that it was begun with"
        )
    recipe = finetune.recipe()
    for name, fields in chosen.items():
        adapter: TypeAdapter[object] = TypeAdapter(type(recipe[name].config))
        config = adapter.validate_json(json.dumps(fields))
        assert dataclasses.is_dataclass(config)
        assert not isinstance(config, type)
        recipe = recipe.with_config(name, config)
    return recipe


LOCK = ".lock"
OWN = {LOCK, f".{RECORD}"}
"""Files of a run that has not begun."""


def write_record(out: Path, asked: Asked, recipe: Recipe) -> None:
    """Keep what was asked and chosen; the file is there whole or not at all."""
    chosen = {name: dataclasses.asdict(stage.config) for name, stage in recipe.stages.items()}
    draft = out / f".{RECORD}"
    draft.write_text(json.dumps({"asked": asked, "chosen": chosen}, indent=1) + "\n")
    draft.replace(out / RECORD)
