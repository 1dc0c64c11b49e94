"""Against figures that are known: published sizes, 6ND, 16 bytes a parameter."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from trainer.pairs.row import PreferenceRow, Rejected, write_pairs
from trainer.pipeline.stage import StageError, writing_stage
from trainer.planning.cost import (
    TokenCounts,
    checkpoint_bytes,
    forward_flops,
    training_flops,
    training_memory,
)
from trainer.planning.gpus import GPUS, Devices
from trainer.planning.lengths import Lengths, assumed, measured
from trainer.planning.plan import plan
from trainer.planning.run import LoraSpec, LossTerms, TrainingRun
from trainer.planning.shape import KNOWN, read_shape
from trainer.planning.table import text_of
from trainer.recipes import RECIPES, open_recipe
from trainer.training.base import BaseConfig

SMALL, LARGE = KNOWN["Qwen/Qwen2-1.5B"], KNOWN["Qwen/Qwen2-7B"]
RUN = TrainingRun(start="Qwen/Qwen2-7B", prompts_per_step=64, max_steps=10, optimizer="adamw")
DEVICES = Devices(GPUS["h200"], 8, 0.4)


def test_published_numbers_of_parameters() -> None:
    assert SMALL.parameters == 1_543_714_304
    assert LARGE.parameters == 7_615_616_512


def test_six_n_d_and_attention_on_top() -> None:
    tokens = TokenCounts(computed=1e9, predicted=0, seen=0)
    assert training_flops(LARGE, tokens, gradient_checkpointing=False) == 6 * LARGE.matrices * 1e9
    assert training_flops(LARGE, tokens, gradient_checkpointing=True) == 8 * LARGE.matrices * 1e9
    predicting = replace(tokens, predicted=1e9)
    assert training_flops(LARGE, predicting, gradient_checkpointing=False) == pytest.approx(
        6 * LARGE.parameters * 1e9,
        rel=0.08,  # all but the embedding that is looked up
    )
    long = forward_flops(LARGE, 4096, 4096**2 / 2) - forward_flops(LARGE, 4096, 0)
    assert (
        long == 2 * 28 * 3584 * 4096**2
    )  # PaLM's appendix B: 12 L H Q T a token, halved if causal


def test_sixteen_bytes_a_parameter_shared_by_all_devices() -> None:
    alone, shared = (training_memory(LARGE, RUN, 1000, devices) for devices in (1, 8))
    states = alone.weights + alone.gradients + alone.optimizer
    assert states == pytest.approx(16 * LARGE.parameters, rel=1e-3)
    assert shared.weights == alone.weights / 8
    assert shared.activations < alone.activations


def test_what_saves_memory_saves_it() -> None:
    plain = training_memory(LARGE, RUN, 10_000, 1)
    recomputed = training_memory(
        LARGE, RUN.model_copy(update={"gradient_checkpointing": True}), 10_000, 1
    )
    halved = training_memory(
        LARGE, RUN.model_copy(update={"gradient_accumulation_steps": 2}), 10_000, 1
    )
    muon = training_memory(LARGE, RUN.model_copy(update={"optimizer": "muon"}), 10_000, 1)
    lora = training_memory(LARGE, RUN.model_copy(update={"lora": LoraSpec(r=16)}), 10_000, 1)
    four = LoraSpec(r=16, load_in_4bit=True)
    quantized = training_memory(LARGE, RUN.model_copy(update={"lora": four}), 10_000, 1)
    no_lm = training_memory(LARGE, RUN.model_copy(update={"weights": LossTerms(lm=0)}), 10_000, 1)
    assert recomputed.activations < 0.15 * plain.activations
    assert halved.activations < 0.6 * plain.activations
    assert muon.optimizer < 0.65 * plain.optimizer
    assert lora.optimizer + lora.gradients < 0.01 * (plain.optimizer + plain.gradients)
    assert quantized.weights < 0.2 * lora.weights
    assert no_lm.weights == plain.weights - 4 * LARGE.embedding


def test_disk_is_two_bytes_a_parameter_and_what_a_run_resumes_from() -> None:
    assert checkpoint_bytes(LARGE) == pytest.approx(15.2e9, rel=0.01)
    resumable = RUN.model_copy(update={"save_steps": 100, "save_total_limit": 2})
    assert checkpoint_bytes(LARGE, resumable) == pytest.approx((2 + 2 * 12) * 7.6156e9, rel=0.01)


def test_a_prompt_is_computed_once() -> None:
    lengths = Lengths(prompt=100, answer=50, rivals=3, rows=None, held_out=0, source="")
    assert lengths.computed() == 300
    assert lengths.computed(with_rejected=False) == 150
    assert lengths.seen(with_rejected=False) == 150**2 / 2


def test_lengths_are_measured_where_the_rows_are(tmp_path: Path) -> None:
    rows = [
        PreferenceRow(str(i), "g", "p" * 35, "c" * 70, (Rejected("m", "r" * 140),))
        for i in range(9)
    ]
    with writing_stage(BaseConfig(), tmp_path / "pairs") as draft:
        write_pairs(draft.path, "train", rows, 100)
    found = measured(tmp_path / "pairs", None)
    assert found
    assert (found.prompt, found.answer, found.rivals, found.rows) == (10, 30, 1, 9)
    assert measured(tmp_path / "nothing", None) is None
    assert assumed(1, 10, 100).computed() <= 200


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_can_be_planned_before_anything_ran(name: str) -> None:
    recipe = open_recipe(name)
    planned = plan(recipe, list(recipe.stages), DEVICES, None)
    assert [each.stage for each in planned] == list(recipe.stages)
    assert sum(each.flops for each in planned) > 0


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
    text = text_of(plans, Devices(GPUS["cpu"], 1, 0.4))
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


def test_the_shape_of_a_directory(tmp_path: Path) -> None:
    config = {
        "num_hidden_layers": 28,
        "hidden_size": 3584,
        "num_attention_heads": 28,
        "num_key_value_heads": 4,
        "intermediate_size": 18944,
        "vocab_size": 152064,
        "tie_word_embeddings": False,
        "model_type": "qwen2",
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert read_shape(tmp_path) == LARGE
    with pytest.raises(StageError, match="a plan needs a decoder's layers"):
        read_shape(tmp_path / "nowhere")
