"""`--set STAGE.FIELD=VALUE`: changes a config on the command line, checked against its type."""

import dataclasses
import json
from collections.abc import Iterable
from typing import Any, get_type_hints

from trainer.pipeline.field_values import PlainScalar, ValueMistake, typed, unknown
from trainer.pipeline.recipe import Recipe
from trainer.pipeline.stage import Dataclass, StageError


def overridden(recipe: Recipe, settings: Iterable[str]) -> Recipe:
    """The recipe with each `STAGE.FIELD=VALUE` applied; a later setting overrides an earlier one.

    A value is JSON unless its field is text: `true`, `null`, `["a", "b"]`. Where one of several
    configs is wanted, the name of a kind stands for that kind with its defaults. Fields of nested
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


def with_field(config: Dataclass, fields: list[str], value: str, path: str) -> Dataclass:
    """The config with the field at the end of the chain `fields` replaced; `path` is for errors."""
    name, *rest = fields
    known = [field.name for field in dataclasses.fields(config)]
    if name not in known:
        raise StageError(f"--set {path}: {unknown('field', name, known)}")
    inner = getattr(config, name)
    if rest:
        if not dataclasses.is_dataclass(inner) or isinstance(inner, type):
            raise StageError(f"--set {path}: {name} has no fields of its own; set it as a whole")
        return dataclasses.replace(config, **{name: with_field(inner, rest, value, path)})
    try:
        parsed = parsed_value(get_type_hints(type(config))[name], value)
        return dataclasses.replace(config, **{name: parsed})
    except (ValueMistake, ValueError) as error:
        within = ".".join(map(str, error.place)) if isinstance(error, ValueMistake) else ""
        raise StageError(
            f"--set {path}={value}: {within}{': ' if within else ''}{error}"
        ) from error


def parsed_value(hint: Any, value: str) -> object:
    """The value of a field of this type that a text stands for: JSON, or a scalar of YAML.

    Raises:
        ValueMistake: it stands for none.
    """
    if not value.startswith(("{", "[", '"')):
        scalar = PlainScalar(value)
        try:
            return typed(hint, scalar if value else value)
        except ValueMistake:
            if scalar.natural is not None:
                raise
            return typed(hint, value)  # a text such as ~, which is null only where one may be
    try:
        return typed(hint, json.loads(value))
    except (ValueError, RecursionError, ValueMistake) as as_json:
        # What looks like JSON may be text, such as a template that begins with a brace.
        try:
            return typed(hint, value)
        except ValueMistake:
            if isinstance(as_json, ValueMistake):
                raise as_json from None
            raise ValueMistake((), f"Invalid JSON: {as_json}") from as_json
