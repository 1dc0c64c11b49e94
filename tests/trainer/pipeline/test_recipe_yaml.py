"""A YAML file changes what it names, and nothing else."""

import re
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest
import yaml

from trainer.evaluation.evaluate import EvaluateConfig
from trainer.pairs.criteria import STANDARD, criteria_for
from trainer.pipeline.overrides import overridden
from trainer.pipeline.recipe import Recipe
from trainer.pipeline.recipe_schema import recipe_schema
from trainer.pipeline.stage import StageError
from trainer.preferences.formats.labelled import Labelled
from trainer.preferences.formats.trl import Trl
from trainer.recipes import open_recipe, root_of
from trainer.recipes.stage_kinds import MODULES, stage_kind
from trainer.training.finetune import FinetuneConfig

ROOT = Path(__file__).resolve().parents[3]


def opened(folder: Path, text: str, name: str = "mine.yaml") -> Recipe:
    (folder / name).write_text(text)
    return open_recipe(str(folder / name))


def test_only_the_fields_that_are_named_change(tmp_path: Path) -> None:
    recipe = opened(
        tmp_path,
        """
extends: finetune
finetune:
  learning_rate: 1e-4
  bf16: no
  lora: {r: 32}
  weights:
    margin: 0.5
publish:
  version: 1.10
  name: on
""",
    )
    before = open_recipe("finetune")["finetune"].config
    assert recipe["finetune"].config == replace(
        before,
        learning_rate=1e-4,
        bf16=False,
        lora=replace(before.lora, r=32),
        weights=replace(before.weights, margin=0.5),
    )
    assert (recipe["publish"].config.version, recipe["publish"].config.name) == ("1.10", "on")
    assert recipe["preferences"] == open_recipe("finetune")["preferences"]
    # --set comes on top.
    assert overridden(recipe, ["finetune.lora.r=4"])["finetune"].config.lora.r == 4


def test_a_kind_chooses_among_configs(tmp_path: Path) -> None:
    recipe = opened(
        tmp_path,
        """
extends: finetune
preferences:
  sources:
    - {name: a, format: labelled}
    - name: b
      format: {kind: labelled, prompt: question}
      paths: [b.jsonl]
    - {name: c, format: {kind: trl}, pairing: {max_pairs: 3}}
""",
    )
    a, b, c = recipe["preferences"].config.sources
    assert (a.format, b.format, c.format) == (Labelled(), Labelled(prompt="question"), Trl())
    assert c.pairing == replace(a.pairing, max_pairs=3)


def test_another_kind_replaces_the_whole(tmp_path: Path) -> None:
    first = opened(tmp_path, "extends: pfpo\nproblems:\n  source: {challenge_tests: true}\n")
    assert first["problems"].config.source.challenge_tests
    assert first["problems"].config.source.split == "train"
    text = "extends: first.yaml\nproblems:\n  source: {kind: apps, id: number}\n"
    (tmp_path / "mine.yaml").rename(tmp_path / "first.yaml")
    second = opened(tmp_path, text)
    assert type(second["problems"].config.source).__name__ == "Apps"


def test_stages_are_left_out_added_and_ordered(tmp_path: Path) -> None:
    recipe = opened(
        tmp_path,
        """
extends: finetune
publish: null
evaluate_mine:
  kind: evaluate
  checkpoint: finetune
  tasks: [{kind: choice, files: [mine.jsonl]}]
stages: [preferences, finetune, evaluate_mine, calibrate]
""",
    )
    assert list(recipe.stages) == ["preferences", "finetune", "evaluate_mine", "calibrate"]
    assert isinstance(recipe["evaluate_mine"].config, EvaluateConfig)
    assert recipe["evaluate_mine"].check is not None


def test_the_recipes_that_the_docs_show_are_read(tmp_path: Path) -> None:
    page = (ROOT / "docs/recipes.md").read_text()
    (shown,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    recipe = opened(tmp_path, shown)
    assert [each.name for each in recipe["preferences"].config.sources] == ["gsm8k", "mine"]
    assert recipe["finetune"].config.lora.r == 32
    assert recipe["publish"].config.version == "1.10"
    schema = recipe_schema(recipe, {kind: stage_kind(kind)[0] for kind in MODULES})
    jsonschema.validate(
        yaml.safe_load(shown.replace("1e-4", "1.0e-4").replace("1.10", "'1'")), schema
    )
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert opened(tmp_path, code, "mine.py")["finetune"].config.learning_rate == 1e-4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("finetune: {}", r"line 1: `extends: NAME` is missing"),
        ("- a", "line 1: a recipe is a mapping"),
        ("extends: [a]", "line 1: extends: write the name of one recipe"),
        ("extends: finetun", "line 1: extends: there is no recipe finetun; did you mean finetune"),
        ("extends: other.yaml", "other.yaml cannot be read"),
        ("extends: mine.yaml", r"mine.yaml extends itself \(mine.yaml -> mine.yaml\)"),
        ("extends: finetune\nfinetun: {}", "line 2: finetun: there is no stage finetun; did you"),
        ("extends: finetune\nstage: [a]", "line 2: stage: there is no stage stage; did you mean"),
        ("extends: finetune\nfinetune: 3", "line 2: finetune: write a mapping of its fields"),
        ("extends: finetune\nstages: [finetun]", "line 2: stages.0: there is no stage finetun"),
        (
            "extends: finetune\nfinetune:\n#  seed: 3",
            "line 2: finetune: .* has no fields",
        ),
        ("extends:\nfinetune: {}", "`extends: NAME` is missing"),
        ("extends: finetune\nstages: []", "line 1: no stage is left"),
        ("extends: finetune\nstages:\n- finetune\n- finetune", "line 4: .* a second time"),
        ("extends: finetune\nmine: {kind: evaluate}", "name the stage evaluate or evaluate_"),
        ("extends: finetune\nx: {kind: evaluat}", "there is no kind evaluat; did you mean evalu"),
        ("extends: finetune\ndpo: {kind: dpo}", "line 2: dpo: DpoConfig needs start and"),
        (
            "extends: finetune\nfinetune:\n  max_step: 3",
            "line 3: finetune.max_step: there is no field max_step; did you mean max_steps",
        ),
        ("extends: finetune\nfinetune:\n  max_steps: many", "line 3: .*valid integer"),
        ("extends: finetune\nfinetune:\n  max_steps: true", "line 3: .*a number, and not true"),
        ("extends: finetune\nfinetune:\n  max_steps: 1.5", "line 3: .*valid integer"),
        ("extends: finetune\nfinetune:\n  bf16: maybe", "line 3: .*valid boolean"),
        ("extends: finetune\nfinetune:\n  start:", "line 3: finetune.start: text is missing"),
        ("extends: finetune\nfinetune:\n  optimizer: adam", "line 3: .*'muon' or 'adamw'"),
        ("extends: finetune\nfinetune:\n  lora: 8", "line 3: finetune.lora: write a mapping"),
        ("extends: finetune\nfinetune:\n  lora:\n    rank: 8", "line 4: finetune.lora.rank: there"),
        ("extends: finetune\nfinetune:\n  mixture: preferences", "line 3: .*write a list here"),
        ("extends: finetune\nfinetune:\n  mixture: [{weight: 1}]", "Mix needs stage as well"),
        ("extends: finetune\nfinetune:\n  warmup_ratio: 2", "line 3: .*warmup_ratio"),
        (
            "extends: finetune\npreferences:\n  sources:\n  - name: a\n    format: trll",
            "line 5: preferences.sources.0.format: there is no kind trll; did you mean trl",
        ),
        (
            "extends: finetune\npreferences:\n  sources:\n  - name: a\n    format: {prompt: a}",
            "line 5: preferences.sources.0.format: name the kind, one of trl, ultrafeedback",
        ),
        ("extends: finetune\npublish:\n  name: a/b", "a release cannot have the name 'a/b'"),
    ],
)
def test_a_mistake_is_told_with_file_and_line(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(StageError, match=message):
        opened(tmp_path, text)


def test_files_that_extend_each_other_are_refused_and_not_followed_forever(tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text("extends: mine.yaml")
    with pytest.raises(StageError, match="extends itself"):
        opened(tmp_path, "extends: other.yaml")
    # The command line looks for the recipe behind them before it reads one.
    with pytest.raises(StageError, match=r"mine\.yaml -> other\.yaml -> mine"):
        root_of(str(tmp_path / "mine.yaml"))


def test_a_release_tells_that_this_file_made_it(tmp_path: Path) -> None:
    recipe = opened(tmp_path, "extends: cpu_tiny\npublish: {version: 2}\n")
    assert recipe["publish"].config.command == (
        "python -m trainer run --recipe mine.yaml --work WORK"
    )
    recipe = opened(tmp_path, "extends: cpu_tiny\npublish: {command: make mine}\n", "other.yaml")
    assert recipe["publish"].config.command == "make mine"


def test_the_criteria_of_the_docs_are_a_recipe(tmp_path: Path) -> None:
    page = (ROOT / "docs/criteria.md").read_text()
    recipes = re.findall(r"```yaml\n(extends.*?)```", page, re.DOTALL)
    assert recipes
    for number, shown in enumerate(recipes):
        config = opened(tmp_path, shown, f"shown-{number}.yaml")["finetune"].config
        assert isinstance(config, FinetuneConfig)
        criteria = criteria_for(config.criteria, {}, [])
        assert criteria["correctness"] == STANDARD["correctness"]
        assert criteria["readability"].weight == 0.5
