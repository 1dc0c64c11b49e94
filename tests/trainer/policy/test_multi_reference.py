import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.trainer.policy.policies import make_policy, make_work
from tests.trainer.training.stages import weights
from trainer.pipeline.stage import StageError, read_manifest
from trainer.policy import dpo
from trainer.policy.config import DpoConfig
from trainer.policy.multi_reference import (
    clipped,
    first_weight,
    virtual_log_prob,
    virtual_reference,
)

# Sums over whole answers reach thousands of nats.
LOG_PROBS = st.floats(-20_000, -1e-3)
WEIGHTS = st.floats(0, 1)


@given(LOG_PROBS, LOG_PROBS, WEIGHTS)
def test_the_virtual_reference_lies_between_the_two(one: float, two: float, weight: float) -> None:
    found = virtual_log_prob(one, two, weight)
    assert min(one, two) - 1e-9 <= found <= max(one, two) + 1e-9


@given(LOG_PROBS, LOG_PROBS)
def test_all_the_weight_leaves_one_reference(one: float, two: float) -> None:
    assert virtual_log_prob(one, two, 1.0) == pytest.approx(one)
    assert virtual_log_prob(one, two, 0.0) == pytest.approx(two)


@given(LOG_PROBS, LOG_PROBS, WEIGHTS, WEIGHTS)
def test_more_weight_moves_it_towards_the_first(
    one: float, two: float, weight: float, more: float
) -> None:
    low, high = (virtual_log_prob(one, two, each) for each in sorted((weight, more)))
    assert abs(high - one) <= abs(low - one) + 1e-9


@given(st.floats(0.01, 0.99), st.floats(0.01, 0.99), WEIGHTS)
def test_it_is_the_weighted_harmonic_mean_of_probabilities(
    one: float, two: float, weight: float
) -> None:
    harmonic = 1 / (weight / one + (1 - weight) / two)
    assert virtual_log_prob(math.log(one), math.log(two), weight) == pytest.approx(
        math.log(harmonic), abs=1e-9
    )


@given(st.floats(0.05, 0.95), st.floats(0.05, 0.95), st.floats(0.05, 0.95), WEIGHTS)
def test_it_bounds_the_weighted_divergences_from_both(
    policy: float, one: float, two: float, weight: float
) -> None:
    """The inequality of the derivation, on distributions over two answers."""

    def divergence(reference: tuple[float, float]) -> float:
        pairs = zip((policy, 1 - policy), reference, strict=True)
        return sum(p * (math.log(p) - q) for p, q in pairs)

    logs = [(math.log(each), math.log(1 - each)) for each in (one, two)]
    both = weight * divergence(logs[0]) + (1 - weight) * divergence(logs[1])
    virtual = [virtual_log_prob(a, b, weight) for a, b in zip(*logs, strict=True)]
    assert both <= divergence((virtual[0], virtual[1])) + 1e-9


@given(LOG_PROBS, LOG_PROBS, st.floats(0, 0.9))
def test_the_second_reference_stays_near_the_first(one: float, two: float, eta: float) -> None:
    found = clipped(two, one, eta)
    assert abs(found - one) <= eta * abs(one) + 1e-9
    if abs(two - one) <= eta * abs(one) - 1e-9:
        assert found == two


def test_the_reference_that_tells_the_answers_apart_counts_more() -> None:
    assert first_weight((-10.0, -13.0), (-10.0, -11.0)) == 0.75
    assert first_weight((-10.0, -10.0), (-10.0, -10.0)) == 0.5
    # At that weight the first one's rejected answer decides, though the second one is surer of it.
    chosen, rejected = virtual_reference((-10.0, -13.0), (-10.0, -12.0), eta=0.5)
    assert chosen == pytest.approx(-10.0)
    middle = -math.log(0.5 * math.exp(13.0) + 0.5 * math.exp(12.0))
    assert rejected < middle


@given(LOG_PROBS, LOG_PROBS, LOG_PROBS, LOG_PROBS)
def test_without_room_the_first_reference_is_left(a: float, b: float, c: float, d: float) -> None:
    assert virtual_reference((a, b), (c, d), eta=0.0) == pytest.approx((a, b))


CONFIG = DpoConfig(
    start="base",
    max_steps=4,
    prompts_per_step=4,
    learning_rate=3e-3,
    evaluation_share=0.2,
    eval_steps=0,
    bf16=False,
    report_to="none",
)


def train(config: DpoConfig, work: Path, name: str) -> Path:
    dpo.run(config, work, work / name)
    return work / name


def gap(one: Path, other: Path) -> float:
    left, right = weights(one), weights(other)
    return max(float((left[name].float() - right[name].float()).abs().max()) for name in left)


def test_the_same_reference_twice_is_one(tmp_path: Path) -> None:
    work = make_work(tmp_path)
    once = train(CONFIG, work, "once")
    twice = train(replace(CONFIG, second_reference="base"), work, "twice")
    assert gap(once, twice) < 1e-6


def test_a_second_reference_may_have_another_tokenizer(tmp_path: Path) -> None:
    work = make_work(tmp_path)
    other = make_policy(tmp_path / "other", seed=5)
    tokenizer = AutoTokenizer.from_pretrained(other)
    tokenizer.add_tokens(["answer "])
    tokenizer.save_pretrained(other)
    model = AutoModelForCausalLM.from_pretrained(other)
    model.resize_token_embeddings(len(tokenizer))
    model.save_pretrained(other)
    once = train(CONFIG, work, "once")
    # Texts of two tokens have far higher log-probs than ids of ten: the clip decides.
    two = train(replace(CONFIG, second_reference=str(other)), work, "two")
    assert gap(once, two) > 1e-6
    none = replace(CONFIG, second_reference=str(other), second_reference_eta=0.0)
    assert gap(once, train(none, work, "none")) < 1e-6


def test_rows_that_the_second_reference_cannot_read_are_counted(tmp_path: Path) -> None:
    work = make_work(tmp_path)
    make_policy(tmp_path / "short", seed=5, max_position_embeddings=20)
    short = train(replace(CONFIG, second_reference=str(tmp_path / "short")), work, "dpo")
    manifest = read_manifest(short)
    left_out = manifest["left_out"]
    reason = "row: too long for the second reference, or its template refuses it"
    assert left_out[reason] > 0
    assert manifest["rows"]["train"] < 20


def test_token_weights_with_a_second_reference_are_refused() -> None:
    with pytest.raises(StageError, match="set one of them"):
        replace(CONFIG, second_reference="base", token_weights="token_weights")
