"""The JSON Schema of the YAML files that extend a recipe: editors complete and check by it."""

import dataclasses
import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal, get_args, get_type_hints

from pydantic import TypeAdapter

from trainer.pipeline.field_docs import field_docs, first_line
from trainer.pipeline.field_values import kind_name, members_of
from trainer.pipeline.recipe import Recipe
from trainer.pipeline.stages import STAGES, kind_of

DIALECT = "https://json-schema.org/draft/2020-12/schema"
Schema = dict[str, Any]


def recipe_schema(recipe: Recipe, kinds: Mapping[str, type[Any]]) -> Schema:
    """A schema with the recipe's stages, all of them optional, and stages that a file may add.

    Args:
        kinds: the type of config of each kind of stage that a file may add.
    """
    configs = {stage: type(entry.config) for stage, entry in recipe.stages.items()}
    found = {
        each.__name__: each
        for root in (*configs.values(), *kinds.values())
        for each in _within(root)
    }
    adapters: list[tuple[str, Literal["validation"], TypeAdapter[Any]]] = [
        (name, "validation", TypeAdapter(each)) for name, each in found.items()
    ]
    _, whole = TypeAdapter.json_schemas(adapters)
    shapes = {name: _shape(found[name], whole["$defs"][name]) for name in found}
    stages = {
        stage: {
            "description": STAGES.get(kind_of(stage), ""),
            "anyOf": [_stage(shapes[config.__name__], kind_of(stage)), {"type": "null"}],
        }
        for stage, config in configs.items()
    }
    return {
        "$schema": DIALECT,
        "title": f"A recipe that extends {recipe.name}",
        "type": "object",
        "properties": {
            "extends": {"type": "string", "description": "a recipe's name, or a file beside this"},
            "stages": {
                "type": "array",
                "items": {"type": "string"},
                "description": "the stages that are kept, in the order in which they run",
            },
            **stages,
        },
        "patternProperties": {
            _added(kind, configs): {
                "description": STAGES[kind],
                **_stage(shapes[config.__name__], kind),
                "required": ["kind"],
            }
            for kind, config in kinds.items()
        },
        "additionalProperties": False,
        "required": ["extends"],
        "$defs": shapes,
    }


def _within(hint: Any) -> Iterator[type[Any]]:
    """The configs that a value of this type may hold."""
    if dataclasses.is_dataclass(hint):
        assert isinstance(hint, type)
        yield hint
        for each in get_type_hints(hint).values():
            yield from _within(each)
    for each in get_args(hint):
        yield from _within(each)


def _shape(config: type[Any], made: Schema) -> Schema:
    """pydantic's schema of a config, made as strict about names as the reader, and no stricter."""
    docs, hints = field_docs(config), get_type_hints(config)
    properties: dict[str, Schema] = {}
    for name, field in made.get("properties", {}).items():
        kinds = [each for each in members_of(hints[name]) if dataclasses.is_dataclass(each)]
        # Titles repeat the names, and a default is not what a file of this recipe changes.
        shown = {key: value for key, value in field.items() if key not in ("title", "default")}
        if hints[name] is str:
            shown["type"] = ["string", "number", "boolean"]  # what is read as it is written
        if len(kinds) > 1:
            shown["anyOf"] = [*field["anyOf"], {"enum": [kind_name(each) for each in kinds]}]
        properties[name] = shown | ({"description": docs[name]} if name in docs else {})
    # Nothing is required: where a config is there, a file names only the fields that it changes.
    return {
        "type": "object",
        "description": first_line(config),
        "properties": properties,
        "additionalProperties": False,
    }


def _stage(shape: Schema, kind: str) -> Schema:
    return {**shape, "properties": {"kind": {"const": kind}, **shape["properties"]}}


def _added(kind: str, known: Mapping[str, object]) -> str:
    """A pattern of the names that a new stage of this kind may have."""
    # A longer kind, such as strong_lm, is none of the shorter one's; known stages have a schema.
    longer = [each for each in STAGES if each.startswith(f"{kind}_")]
    others = [rf"{each}(_|$)" for each in longer] + [f"{re.escape(each)}$" for each in known]
    return f"^(?!{'|'.join(others)}){kind}(_|$)"
