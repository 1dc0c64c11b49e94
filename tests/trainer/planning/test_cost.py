"""Against figures that are known: 6ND, 16 bytes a parameter."""

from dataclasses import replace

import pytest

from trainer.planning.cost import (
    TokenCounts,
    adapters,
    checkpoint_bytes,
    forward_flops,
    training_flops,
    training_memory,
)
from trainer.planning.run import LoraSpec, PlannedLosses, TrainingRun
from trainer.planning.shape import KNOWN

LARGE = KNOWN["Qwen/Qwen2-7B"]
RUN = TrainingRun(start="Qwen/Qwen2-7B", prompts_per_step=64, max_steps=10, optimizer="adamw")


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
    no_lm = training_memory(
        LARGE, RUN.model_copy(update={"weights": PlannedLosses(lm=0)}), 10_000, 1
    )
    assert recomputed.activations < 0.15 * plain.activations
    assert halved.activations < 0.6 * plain.activations
    assert muon.optimizer < 0.65 * plain.optimizer
    assert lora.optimizer + lora.gradients < 0.01 * (plain.optimizer + plain.gradients)
    assert quantized.weights < 0.2 * lora.weights
    assert no_lm.weights == plain.weights - 4 * LARGE.embedding


@pytest.mark.parametrize(
    ("targets", "layers"),
    [
        (("q_proj", "v_proj"), 28 * (2 * 3584 + 3584 + 512)),
        (("mlp.down_proj",), 28 * (3584 + 18_944)),
        (r".*\.0\.self_attn\.(q|o)_proj", 2 * 2 * 3584),
        ("all-linear", 28 * (4 * 3584 + 2 * (3584 + 512) + 3 * (3584 + 18_944))),
        (("query_key_value",), 28 * (4 * 3584 + 2 * (3584 + 512) + 3 * (3584 + 18_944))),
    ],
    ids=["names", "path", "pattern", "all", "other names"],
)
def test_only_the_named_layers_get_adapters(targets: str | tuple[str, ...], layers: int) -> None:
    assert adapters(LARGE, LoraSpec(r=8, target_modules=targets)) == 8 * layers + 3584


def test_disk_is_two_bytes_a_parameter_and_what_a_run_resumes_from() -> None:
    assert checkpoint_bytes(LARGE) == pytest.approx(15.2e9, rel=0.01)
    resumable = RUN.model_copy(update={"save_steps": 100, "save_total_limit": 2})
    assert checkpoint_bytes(LARGE, resumable) == pytest.approx((2 + 2 * 12) * 7.6156e9, rel=0.01)
