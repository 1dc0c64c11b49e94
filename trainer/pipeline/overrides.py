"""`--set STAGE.FIELD=VALUE`: changes a config on the command line, checked against its type."""

import dataclasses
import difflib
import json
from collections.abc import Iterable
from typing import get_type_hints

from pydantic import TypeAdapter, ValidationError

from trainer.pipeline.recipe import Recipe
from trainer.pipeline.stage import Dataclass, StageError


def overridden(recipe: Recipe, settings: Iterable[str]) -> Recipe:
    """The recipe with each `STAGE.FIELD=VALUE` applied; a later setting overrides an earlier one.

    A value is JSON unless its field is text: `true`, `null`, `["a", "b"]`. Fields of nested
    configs are reached by more dots: `pretrain.weights.lm=0.5`.

    Raises:
        StageError: a setting names nothing, or its value is not of its field's type.
    """
    for setting in settings:
        path, equals, value = setting.partition("=")
        stage, *fields = path.split(".")
        if not equals or not fields:
            raise StageError(
                f"--set {setting}: write STAGE.FIELD=VALUE, as in pretrain.max_steps=50"
            )
        recipe = recipe.with_config(stage, with_field(recipe[stage].config, fields, value, path))
    return recipe


def settings(recipe: Recipe) -> list[str]:
    """Every field of every config, in the form that `--set` takes."""

    def leaves(config: Dataclass, path: str) -> Iterable[str]:
        for name, plain in dataclasses.asdict(config).items():
            value = getattr(config, name)
            if dataclasses.is_dataclass(value) and not isinstance(value, type):
                yield from leaves(value, f"{path}.{name}")
            else:
                yield f"{path}.{name}={value if isinstance(value, str) else json.dumps(plain)}"

    return [line for stage, entry in recipe.stages.items() for line in leaves(entry.config, stage)]


def with_field(config: Dataclass, fields: list[str], value: str, path: str) -> Dataclass:
    """The config with the field at the end of the chain `fields` replaced; `path` is for errors."""
    name, *rest = fields
    known = [field.name for field in dataclasses.fields(config)]
    if name not in known:
        nearest = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {nearest[0]}" if nearest else f"its fields are {', '.join(known)}"
        raise StageError(f"--set {path}: there is no field {name}; {hint}")
    inner = getattr(config, name)
    if rest:
        if not dataclasses.is_dataclass(inner) or isinstance(inner, type):
            raise StageError(f"--set {path}: {name} has no fields of its own; set it as a whole")
        return dataclasses.replace(config, **{name: with_field(inner, rest, value, path)})
    adapter: TypeAdapter[object] = TypeAdapter(get_type_hints(type(config))[name])
    # JSON comes first: where a field may be text or None, null must become None and not a text.
    try:
        parsed = adapter.validate_json(value)
    except ValidationError as as_json:
        # Text needs no quotes, and neither does any other type that has a reading as text.
        try:
            parsed = adapter.validate_python(value)
        except ValidationError as as_text:
            # What looks like JSON was meant as such, and that reading says what is wrong with it.
            error = as_json if value.startswith(("{", "[")) else as_text
            first = error.errors(include_input=False, include_url=False)[0]
            raise StageError(f"--set {path}={value}: {first['msg']}") from error
    try:
        return dataclasses.replace(config, **{name: parsed})
    except ValueError as error:
        raise StageError(f"--set {path}={value}: {error}") from error
