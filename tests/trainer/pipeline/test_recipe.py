from dataclasses import dataclass
from pathlib import Path

import pytest

from trainer.pipeline.recipe import Recipe, Stage
from trainer.pipeline.stage import StageError
from trainer.recipes import open_recipe


@dataclass(frozen=True)
class Config:
    size: int = 1
    name: str = "a"


def run(config: Config, inputs: Path, output: Path) -> None:
    raise AssertionError("nothing runs here")


RECIPE = Recipe("small", {"corpus": Stage(run, Config()), "pairs": Stage(run, Config(2))})


def test_a_part_of_a_recipe() -> None:
    tiny = open_recipe("cpu_tiny")
    assert tiny.between(None, None) == list(tiny.stages)
    assert tiny.between("harden", "evaluate") == ["harden", "calibrate", "evaluate"]
    with pytest.raises(StageError, match="swap --from and --to"):
        tiny.between("evaluate", "harden")
    with pytest.raises(StageError, match="no stage train"):
        tiny.between("train", None)


def test_a_changed_copy_leaves_the_recipe_and_other_stages_as_they_were() -> None:
    changed = RECIPE.changed("pairs", size=3)
    assert changed["pairs"].config == Config(3)
    assert changed["corpus"] == RECIPE["corpus"]
    assert RECIPE["pairs"].config == Config(2)
    assert list(changed.stages) == list(RECIPE.stages)


def test_a_stage_that_is_not_there_names_the_nearest_or_all() -> None:
    with pytest.raises(StageError, match="small has no stage pair; did you mean pairs"):
        RECIPE["pair"]
    with pytest.raises(StageError, match="no stage xyz; it has corpus, pairs"):
        RECIPE["xyz"]
