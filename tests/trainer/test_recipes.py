"""Recipes as data: their stages, their figures, and what `--set` may change of them."""

import dataclasses
import json
from pathlib import Path

import pytest

from trainer.pipeline.overrides import overridden, settings
from trainer.pipeline.recipe import Recipe
from trainer.pipeline.stage import StageError, config_hash
from trainer.pipeline.stages import STAGES
from trainer.recipes import RECIPES, open_recipe

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(params=RECIPES)
def recipe(request: pytest.FixtureRequest) -> Recipe:
    return open_recipe(request.param)


def test_its_stages_are_in_the_order_of_all_stages(recipe: Recipe) -> None:
    assert recipe.name in RECIPES
    assert list(recipe.stages) == [stage for stage in STAGES if stage in recipe.stages]


def test_what_a_stage_starts_from_or_reads_comes_before_it(recipe: Recipe) -> None:
    earlier: set[str] = set()
    for stage, entry in recipe.stages.items():
        fields = dataclasses.asdict(entry.config)
        reading = ("start", "pairs", "checkpoint", "calibration")
        named = {fields[name] for name in reading if fields.get(name)}
        assert {name for name in named if "/" not in name} <= earlier
        earlier.add(stage)


def test_every_setting_shown_can_be_set(recipe: Recipe) -> None:
    again = overridden(recipe, settings(recipe))
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


def _within(recorded: object, now: object) -> bool:
    if isinstance(recorded, dict) and isinstance(now, dict):
        return all(name in now and _within(value, now[name]) for name, value in recorded.items())
    return recorded == now


@pytest.mark.parametrize(("size", "rate"), [("1_5b", 3e-6), ("7b", 1e-6)])
def test_the_papers_figures(size: str, rate: float) -> None:
    config = open_recipe(f"codepmp_qwen2_{size}")["pretrain"].config
    assert config.max_steps * config.prompts_per_step == 28_116_992  # 28.1 M pairs, once
    assert (config.learning_rate, config.warmup_ratio, config.decay_ratio) == (rate, 0.03, 0.1)
    assert (config.weights.rank, config.weights.lm, config.weight_decay) == (1.0, 1.0, 0.1)


def test_a_setting_lands_in_the_configs_hash() -> None:
    tiny = open_recipe("cpu_tiny")
    changed = overridden(
        tiny,
        [
            "pretrain.max_steps=50",
            "pretrain.weights.lm=0.5",
            'corpus.folders=["mine", "yours"]',
            "publish.version=2",
            "pretrain.bf16=false",
        ],
    )
    config = changed["pretrain"].config
    assert (config.max_steps, config.weights.lm, config.bf16) == (50, 0.5, False)
    assert changed["corpus"].config.folders == ("mine", "yours")
    assert changed["publish"].config.version == "2"
    assert config_hash(config) != config_hash(tiny["pretrain"].config)
    assert config_hash(changed["warmup"].config) == config_hash(tiny["warmup"].config)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("pretrain.max_steps=many", "valid integer"),
        ("pretrain.max_steps=1.5", "valid integer"),
        ("pretrain.step=50", "there is no step, but start, "),
        ("pretrian.steps=50", "cpu_tiny has no stage pretrian, but corpus"),
        ("pretrain.max_steps.more=50", "steps has no fields of its own"),
        ("pretrain=50", "write STAGE.FIELD=VALUE"),
        ("pretrain.max_steps", "write STAGE.FIELD=VALUE"),
    ],
)
def test_a_setting_that_names_nothing_or_no_value_is_told(setting: str, message: str) -> None:
    with pytest.raises(StageError, match=message):
        overridden(open_recipe("cpu_tiny"), [setting])


def test_a_part_of_a_recipe() -> None:
    tiny = open_recipe("cpu_tiny")
    assert tiny.between(None, None) == list(tiny.stages)
    assert tiny.between("harden", "evaluate") == ["harden", "calibrate", "evaluate"]
    with pytest.raises(StageError, match="swap --from and --to"):
        tiny.between("evaluate", "harden")
    with pytest.raises(StageError, match="no stage train"):
        tiny.between("train", None)
