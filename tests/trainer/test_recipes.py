"""Recipes as data: their stages, their figures, and what `--set` may change of them."""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from trainer.pipeline.overrides import overridden
from trainer.pipeline.recipe import Recipe
from trainer.pipeline.stage import Dataclass, config_hash
from trainer.pipeline.stages import STAGES, kind_of
from trainer.recipes import RECIPES, open_recipe

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(params=RECIPES)
def recipe(request: pytest.FixtureRequest) -> Recipe:
    return open_recipe(request.param)


def test_its_stages_are_in_the_order_of_all_stages(recipe: Recipe) -> None:
    assert recipe.name in RECIPES
    assert {kind_of(stage) for stage in recipe.stages} <= STAGES.keys()
    # Rounds come back to earlier stages.
    if set(recipe.stages) <= STAGES.keys():
        assert list(recipe.stages) == [stage for stage in STAGES if stage in recipe.stages]


def test_a_stage_of_a_round_or_an_arm_is_one_of_its_kind() -> None:
    assert kind_of("samples_2") == "samples"
    assert kind_of("samples_probe_2") == "samples"
    assert kind_of("policy_pairs_given") == "policy_pairs"
    assert kind_of("pairs") == "pairs"
    assert kind_of("none_such") == "none_such"


def test_what_a_stage_starts_from_or_reads_comes_before_it(recipe: Recipe) -> None:
    earlier: set[str] = set()
    for stage, entry in recipe.stages.items():
        fields = dataclasses.asdict(entry.config)
        reading = ["start", "pairs", "checkpoint", "calibration"]
        if "start" in recipe.stages:
            reading += ["problems", "samples", "policy", "passes", "previous", "votes"]
        named = {fields[name] for name in reading if isinstance(fields.get(name), str)}
        named -= {""}
        assert {name for name in named if "/" not in name} <= earlier, stage
        earlier.add(stage)


def test_every_field_can_be_set(recipe: Recipe) -> None:
    every = [line for stage in recipe.stages for line in settings(recipe[stage].config, stage)]
    again = overridden(recipe, every)
    for stage, entry in recipe.stages.items():
        assert config_hash(again[stage].config) == config_hash(entry.config)


def test_the_default_release_was_made_by_its_recipe() -> None:
    """Whatever config it recorded is what the recipe says today; fields may have come since."""
    manifest = json.loads((ROOT / "releases/tiny-code-rm/release.json").read_text())
    recipe = open_recipe("tiny_code_rm")
    assert manifest["version"] == recipe["publish"].config.version
    for stage, record in manifest["training"]["stages"].items():
        now = json.loads(json.dumps(dataclasses.asdict(recipe[stage].config)))
        assert _within(record["config"], now), stage


def settings(config: Dataclass, path: str) -> Iterator[str]:
    """Every field of a config as `--set` takes it."""
    for name, plain in dataclasses.asdict(config).items():
        value = getattr(config, name)
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            yield from settings(value, f"{path}.{name}")
        else:
            yield f"{path}.{name}={value if isinstance(value, str) else json.dumps(plain)}"


def _within(recorded: object, now: object) -> bool:
    if isinstance(recorded, dict) and isinstance(now, dict):
        return all(name in now and _within(value, now[name]) for name, value in recorded.items())
    return recorded == now
