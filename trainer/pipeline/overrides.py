"""`--set STAGE.FIELD=VALUE`: a config changed on the command line, checked against its type."""

import dataclasses
import json
from collections.abc import Iterable
from typing import get_type_hints

from pydantic import TypeAdapter, ValidationError

from trainer.pipeline.recipe import Recipe
from trainer.pipeline.stage import Row, StageError


def overridden(recipe: Recipe, settings: Iterable[str]) -> Recipe:
    """The recipe with each `STAGE.FIELD=VALUE` applied; a later one wins.

    A value is JSON where its field's type is not text: `true`, `null`, `["a", "b"]`. Fields of
    nested configs are reached by more dots: `pretrain.weights.lm=0.5`.

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
        recipe = recipe.with_config(stage, _changed(recipe[stage].config, fields, value, path))
    return recipe


def settings(recipe: Recipe) -> list[str]:
    """Every field of every config as `--set` takes it."""
    return [
        f"{stage}.{path}={value}"
        for stage, entry in recipe.stages.items()
        for path, value in _leaves(entry.config)
    ]


def _changed(config: Row, fields: list[str], value: str, path: str) -> Row:
    name, *rest = fields
    known = [field.name for field in dataclasses.fields(config)]
    if name not in known:
        raise StageError(f"--set {path}: there is no {name}, but {', '.join(known)}")
    inner = getattr(config, name)
    if not rest:
        return dataclasses.replace(config, **{name: _parsed(config, name, value, path)})
    if not dataclasses.is_dataclass(inner) or isinstance(inner, type):
        raise StageError(f"--set {path}: {name} has no fields of its own: set it as a whole")
    return dataclasses.replace(config, **{name: _changed(inner, rest, value, path)})


def _parsed(config: Row, name: str, value: str, path: str) -> object:
    """As JSON if it is of the field's type, otherwise as the text that it is."""
    adapter: TypeAdapter[object] = TypeAdapter(get_type_hints(type(config))[name])
    try:
        return adapter.validate_json(value)
    except ValidationError:
        pass
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise StageError(f"--set {path}={value}: {first['msg']}") from error


def _leaves(config: Row) -> Iterable[tuple[str, str]]:
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            yield from ((f"{field.name}.{path}", text) for path, text in _leaves(value))
        else:
            plain = dataclasses.asdict(config)[field.name]
            yield field.name, value if isinstance(value, str) else json.dumps(plain)
