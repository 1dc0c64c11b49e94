"""Plans of whole recipes."""

import pytest

from trainer.planning.gpus import GPUS, Devices
from trainer.planning.plan import plan
from trainer.planning.shape import KNOWN
from trainer.planning.table import render
from trainer.recipes import RECIPES, open_recipe

LARGE = KNOWN["Qwen/Qwen2-7B"]
DEVICES = Devices(GPUS["h200"], 8, 0.4)


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_can_be_planned_before_anything_ran(name: str) -> None:
    recipe = open_recipe(name)
    # An epoch of what a user brings, or of what a policy will say, has no length before.
    for stage in ("pretrain", "finetune"):
        if stage in recipe.stages and recipe[stage].config.max_steps is None:
            recipe = recipe.changed(stage, max_steps=100)
    planned = plan(recipe, list(recipe.stages), DEVICES, None)
    assert [each.stage for each in planned] == list(recipe.stages)
    policies = [each for each in planned if each.stage.startswith("dpo")]
    assert all("not counted" in each.notes[0] for each in policies)
    assert sum(each.flops for each in planned) > 0 or policies


def test_time_follows_from_flops_and_devices() -> None:
    recipe = open_recipe("codepmp_qwen2_7b")
    (eight,) = plan(recipe, ["pretrain"], DEVICES, None)
    (one,) = plan(recipe, ["pretrain"], Devices(GPUS["h200"], 1, 0.4), None)
    assert eight.seconds == pytest.approx(eight.flops / (8 * 0.4 * 989e12))
    assert one.seconds == pytest.approx(8 * eight.seconds)
    # 6ND, and 2ND for the forward that recomputation runs again; no head there.
    assert eight.flops == pytest.approx(8 * LARGE.matrices * eight.tokens, rel=0.15)
    assert any("DOES NOT FIT" in note for note in one.notes)


def test_a_plan_of_the_whole_says_what_it_rests_on() -> None:
    recipe = open_recipe("cpu_tiny")
    plans = plan(recipe, list(recipe.stages), Devices(GPUS["cpu"], 1, 0.4), None)
    text = render(plans, Devices(GPUS["cpu"], 1, 0.4))
    assert all(stage in text for stage in recipe.stages)
    assert "assumed: prompt 150, answer 250 tokens, 7 rejected a row" in text
    by_name = {entry.stage: entry for entry in plans}
    assert by_name["corpus"].flops == 0
    assert by_name["warmup"].tokens == 120 * 24 * 400


def test_an_evaluation_scores_the_pairs_of_all_its_tasks() -> None:
    plans = plan(open_recipe("codepmp_cpu"), ["calibrate", "evaluate"], DEVICES, None)
    calibrate, evaluate = plans
    assert calibrate.notes[0] == "scores 150 held-out rows of pairs"
    assert evaluate.notes[0] == "scores 1,650 held-out rows of pairs, llm_pairs"
    # 7 rejected answers a row of pairs, and 1 of the language models'.
    assert evaluate.tokens - calibrate.tokens == 1500 * (150 + 2 * 250)
    assert evaluate.flops > calibrate.flops
