"""What is printed reads back: over all fields of all configs, with odd values."""

import dataclasses
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from trainer.pipeline.recipe import Recipe
from trainer.pipeline.recipe_text import recipe_text
from trainer.pipeline.stage import StageError
from trainer.recipes import RECIPES, open_recipe
from trainer.recipes.stage_kinds import MODULES, stage_kind

# What YAML 1.1 or 1.2 reads as something else, or cannot hold without quotes or escapes.
ODD = [
    "", "no", "Off", "y", "null", "~", "True", "1e-4", "1_0", "0x1f", "12:30", "2026-11-21",
    "<<", "=", "- a", "a: b", "# a", "a # b", "{a}", "[", "'", '"', "|", ">", "&a", "*a",
    "!a", "%a", "@a", "`a", "? a", " a", "a ", "a\n", "a\n\n", "\na", "a\n b\n", "a\n\tb",
    "a\r\nb", "a \nb", "\t", "a\n\n\nb\n", "\x00", "\x7f", "\x85", "\u2028", "\ufeff",
    "\ufffe", "ü", "\U0001f600", ".inf",
]  # fmt: skip

TEXTS = st.sampled_from(ODD) | st.text(max_size=12)
NUMBERS = st.integers() | st.floats(allow_nan=False)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)


def values(hint: Any) -> st.SearchStrategy[Any]:
    """Any value of a field's type that its config might accept."""
    if get_origin(hint) in (Union, types.UnionType):
        return st.one_of([values(each) for each in get_args(hint)])
    if get_origin(hint) is Literal:
        return st.sampled_from(get_args(hint))
    if get_origin(hint) is tuple:
        return st.lists(values(get_args(hint)[0]), max_size=3).map(tuple)
    if get_origin(hint) is dict:
        return st.dictionaries(TEXTS, JSON, max_size=3)
    if dataclasses.is_dataclass(hint):
        assert isinstance(hint, type)
        return st.deferred(lambda: configs(hint))
    simple: dict[Any, st.SearchStrategy[Any]] = {
        str: TEXTS,
        int: st.integers(),
        float: st.floats(allow_nan=False),
        bool: st.booleans(),
        type(None): st.none(),
    }
    return simple[hint]


@st.composite
def configs(draw: st.DrawFn, config: type[Any]) -> Any:
    """A config with some of its fields drawn; fields that it refuses together keep a default."""
    hints = get_type_hints(config)
    fields = dataclasses.fields(config)
    drawn = {each.name: draw(values(hints[each.name])) for each in fields if is_required(each)}
    try:
        made = config(**drawn)
    except (StageError, ValueError):
        sound: dict[Any, Any] = {str: "a", int: 1, float: 1.0}
        drawn = {name: sound.get(hints[name], value) for name, value in drawn.items()}
        try:
            made = config(**drawn)
        except StageError:
            reject()
    for each in fields:
        if each.name != "kind" and draw(st.booleans()):
            try:
                made = dataclasses.replace(made, **{each.name: draw(values(hints[each.name]))})
            except (StageError, ValueError):
                continue
    return made


def is_required(field: "dataclasses.Field[Any]") -> bool:
    return field.default is field.default_factory is dataclasses.MISSING


def read_back(recipe: Recipe, extends: str, folder: Path) -> Recipe:
    file = folder / "recipe.yaml"
    file.write_text(recipe_text(recipe, extends, open_recipe(extends)), encoding="utf-8")
    return open_recipe(str(file))


def plainly(recipe: Recipe) -> Iterator[tuple[str, object, str]]:
    """Its configs; with their representation, because 1 equals 1.0 and True."""
    for stage, entry in recipe.stages.items():
        yield stage, entry.config, repr(entry.config)


@pytest.mark.parametrize("name", RECIPES)
def test_a_built_in_recipe_reads_back_to_the_same_stages(name: str, tmp_path: Path) -> None:
    recipe = open_recipe(name)
    again = read_back(recipe, name, tmp_path)
    assert list(plainly(again)) == list(plainly(recipe))
    for stage, entry in recipe.stages.items():
        assert again[stage] == entry


@pytest.mark.parametrize("kind", MODULES)
@settings(
    max_examples=10,
    deadline=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.filter_too_much,
    ],
)
@given(data=st.data())
def test_any_config_reads_back(kind: str, data: st.DataObject, tmp_path: Path) -> None:
    config, make = stage_kind(kind)
    name = f"{kind}_mine"  # no recipe has it, so that it is printed with its kind
    recipe = open_recipe("finetune")
    recipe = dataclasses.replace(recipe, stages={name: make(data.draw(configs(config)))})
    assert list(plainly(read_back(recipe, "finetune", tmp_path))) == list(plainly(recipe))


def test_what_a_field_means_stands_above_it_once() -> None:
    recipe = open_recipe("cpu_tiny")
    lines = recipe_text(recipe, "cpu_tiny", recipe).splitlines()
    described = [number for number, line in enumerate(lines) if line == "  # peak of the schedule."]
    assert [lines[number + 1] for number in described] == ["  learning_rate: 0.004"]
    assert sum("learning_rate:" in line for line in lines) == 3


def test_a_template_of_several_lines_is_printed_as_it_is_laid_out(tmp_path: Path) -> None:
    recipe = open_recipe("codepmp_cpu").changed("describe", template="Describe:\n\n  {code}\n")
    text = recipe_text(recipe, "codepmp_cpu", recipe)
    assert "  template: |\n    Describe:\n\n      {code}\n  # " in text
    assert read_back(recipe, "codepmp_cpu", tmp_path)["describe"] == recipe["describe"]
