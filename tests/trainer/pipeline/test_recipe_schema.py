"""The schema accepts what is printed and read, and refuses what the reader refuses."""

import json
from typing import Any

import jsonschema
import pytest
import yaml

from trainer.pipeline.recipe_schema import recipe_schema
from trainer.pipeline.recipe_text import recipe_text
from trainer.recipes import RECIPES, open_recipe
from trainer.recipes.stage_kinds import MODULES, stage_kind

KINDS = {kind: stage_kind(kind)[0] for kind in MODULES}


def validator(name: str) -> jsonschema.Draft202012Validator:
    schema = json.loads(json.dumps(recipe_schema(open_recipe(name), KINDS)))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def loaded(text: str) -> Any:
    """As another program would: what is printed means the same to a reader of YAML 1.1."""
    return yaml.safe_load(text)


@pytest.mark.parametrize("name", RECIPES)
def test_what_is_printed_is_valid(name: str) -> None:
    recipe = open_recipe(name)
    text = recipe_text(recipe, name, recipe)
    errors = list(validator(name).iter_errors(loaded(text)))
    assert [error.message for error in errors] == []


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        ("extends: finetune", True),
        ("extends: finetune\nfinetune: {lora: {r: 8}}", True),
        ("extends: finetune\nfinetune: {lora: null}", True),
        ("extends: finetune\nevaluate: null", True),
        ("extends: finetune\nevaluate_mine: {kind: evaluate}", True),
        ("extends: finetune\nstages: [finetune]", True),
        ("extends: finetune\npreferences: {sources: [{name: a, format: hh}]}", True),
        ("extends: finetune\npreferences: {sources: [{name: a, format: {kind: hh}}]}", True),
        ("finetune: {}", False),
        ("extends: finetune\nfinetun: {}", False),
        ("extends: finetune\nevaluate_mine: {}", False),
        ("extends: finetune\nevaluate_mine: {kind: finetune}", False),
        ("extends: finetune\nfinetune: {max_step: 3}", False),
        ("extends: finetune\nfinetune: {max_steps: many}", False),
        ("extends: finetune\nfinetune: {lora: {rank: 8}}", False),
        ("extends: finetune\npreferences: {sources: [{name: a, format: hhh}]}", False),
        ("extends: finetune\npreferences: {sources: [{format: {kind: hh, prompt: a}}]}", False),
    ],
)
def test_an_editor_sees_what_the_reader_would_refuse(text: str, *, valid: bool) -> None:
    assert validator("finetune").is_valid(loaded(text)) == valid


def test_fields_carry_their_docstrings() -> None:
    schema = recipe_schema(open_recipe("finetune"), KINDS)
    stage = schema["properties"]["finetune"]["anyOf"][0]
    assert stage["properties"]["learning_rate"]["description"] == "peak of the schedule."
    assert stage["properties"]["optimizer"]["enum"] == ["muon", "adamw"]
