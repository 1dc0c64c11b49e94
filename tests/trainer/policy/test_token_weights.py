from array import array
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.trainer.policy.policies import make_policy, make_rows, make_work
from tests.trainer.training.stages import Made
from trainer.pairs.policy_row import PolicyAnswer, PolicyRow
from trainer.pipeline.stage import StageError, read_manifest, writing_stage
from trainer.policy import dpo
from trainer.policy.config import DpoConfig
from trainer.policy.encoded import EncodedAnswer, EncodedPolicyRow
from trainer.policy.reference import text_key
from trainer.policy.token_weight import read_token_weights
from trainer.policy.token_weights import TokenWeightsConfig, run, scaled, weigh

CLIP, RANK = TokenWeightsConfig(), TokenWeightsConfig(scale="rank")
CONTRASTS = st.lists(st.floats(-30, 30), min_size=1, max_size=30)


@given(CONTRASTS, st.sampled_from([CLIP, RANK]))
def test_weights_are_in_their_range_and_rise_with_the_contrast(
    contrasts: list[float], config: TokenWeightsConfig
) -> None:
    weights = scaled(config, np.array(contrasts))
    assert weights.min() >= 0.7 - 1e-9
    assert weights.max() <= 1.3 + 1e-9
    assert np.all(np.diff(weights[np.argsort(contrasts)]) >= -1e-9)


@given(CONTRASTS, st.sampled_from([CLIP, RANK]))
def test_the_two_sides_of_an_answer_weigh_oppositely(
    contrasts: list[float], config: TokenWeightsConfig
) -> None:
    values = np.array(contrasts)
    both = scaled(config, values) + scaled(config, -values)
    assert both == pytest.approx(np.full(len(values), 2.0))


def test_the_papers_numbers() -> None:
    assert scaled(CLIP, np.array([-9.0, -1.5, 0.0, 0.75, 9.0])).tolist() == pytest.approx(
        [0.7, 0.7, 1.0, 1.15, 1.3]
    )
    assert scaled(RANK, np.array([5.0, -2.0, 0.1])).tolist() == pytest.approx([1.3, 0.7, 1.0])
    assert scaled(RANK, np.array([5.0])).tolist() == [1.0]


def answer(name: str, *ids: int) -> EncodedAnswer:
    return EncodedAnswer(name, array("i", ids), array("f"))


def row(chosen: EncodedAnswer, rejected: EncodedAnswer) -> EncodedPolicyRow:
    return EncodedPolicyRow("r", "g", "", array("i", [1, 2]), chosen, (rejected,))


def test_a_token_counts_more_where_its_own_side_likes_it() -> None:
    good, bad = answer("good", 5, 6), answer("bad", 7, 8)
    pair = row(good, bad)
    keys = [text_key(pair.prompt_ids, each.ids) for each in (good, bad)]
    forward = {keys[0]: array("f", [-1.0, -3.0]), keys[1]: array("f", [-4.0, -2.0])}
    reverse = {keys[0]: array("f", [-4.0, -3.0]), keys[1]: array("f", [-1.0, -2.0])}
    found = {each.answer: each.weights for each in weigh(CLIP, [pair], forward, reverse, Counter())}
    # The forward policy likes the first token of the chosen answer, the reverse one that of the
    # rejected answer. Both decide the side.
    assert found == {"good": (1.3, 1.0), "bad": (1.3, 1.0)}


def test_an_answer_on_both_sides_weighs_all_its_tokens_alike() -> None:
    best, middle, worst = answer("best", 5), answer("middle", 6), answer("worst", 7)
    rows = [row(best, middle), row(middle, worst)]
    flat = {text_key(rows[0].prompt_ids, each.ids): array("f", [-1.0]) for each in (best, worst)}
    counts: Counter[str] = Counter()
    found = [each.answer for each in weigh(CLIP, rows, flat, flat, counts)]
    assert found == ["best", "worst"]
    assert counts["answer: chosen and rejected, so that its tokens count 1"] == 1


def test_two_answers_of_one_id_are_refused() -> None:
    rows = [row(answer("x", 5), answer("x", 6))]
    with pytest.raises(StageError, match="two different answers have the id 'x'"):
        list(weigh(CLIP, rows, {}, {}, Counter()))


@pytest.fixture
def work(tmp_path: Path) -> Path:
    make_work(tmp_path, count=6)
    for name, seed in (("dpo", 1), ("dpo_reversed", 2)):
        with writing_stage(Made(name), tmp_path / name, reads=[tmp_path / "policy_pairs"]) as draft:
            make_policy(draft.path, seed=seed)
    return tmp_path


def test_every_answer_of_the_pairs_gets_a_weight_for_each_token(work: Path) -> None:
    run(CLIP, work, work / "token_weights")
    found = read_token_weights(work / "token_weights")
    assert len(found) == 6 * 3
    manifest = read_manifest(work / "token_weights")
    assert manifest["counts"] == {"answer: chosen": 6, "answer: rejected": 12}
    assert set(manifest["inputs"]) == {"policy_pairs", "dpo", "dpo_reversed"}
    weights = [weight for each in found.values() for weight in each]
    assert min(weights) < 1 < max(weights)


def test_swapped_policies_turn_every_weight_round(work: Path) -> None:
    run(CLIP, work, work / "token_weights")
    run(replace(CLIP, forward="dpo_reversed", reverse="dpo"), work, work / "turned")
    found, turned = read_token_weights(work / "token_weights"), read_token_weights(work / "turned")
    for name, weights in found.items():
        assert np.add(weights, turned[name]) == pytest.approx(np.full(len(weights), 2.0))


def test_a_second_run_computes_no_log_prob_again(work: Path) -> None:
    run(CLIP, work, work / "token_weights")
    files = sorted((work / "reference-log-probs").glob("*.sqlite"))
    before = [file.read_bytes() for file in files]
    run(RANK, work, work / "by_rank")
    assert [file.read_bytes() for file in files] == before


def test_texts_are_encoded_where_rows_have_no_ids(work: Path) -> None:
    texts = PolicyRow("1", "g", "Add.", PolicyAnswer("a", "a + b"), (PolicyAnswer("b", "a - b"),))
    make_rows(work / "policy_pairs", [texts])
    run(CLIP, work, work / "token_weights")
    assert set(read_token_weights(work / "token_weights")) == {"a", "b"}


def test_no_pairs_are_refused(work: Path) -> None:
    make_rows(work / "policy_pairs", [])
    with pytest.raises(StageError, match="policy_pairs is empty"):
        run(CLIP, work, work / "token_weights")


def test_two_contrasted_policies_weigh_the_tokens_for_a_third(tmp_path: Path) -> None:
    work = make_work(tmp_path)
    config = DpoConfig(
        start="base",
        max_steps=12,
        prompts_per_step=6,
        learning_rate=3e-3,
        evaluation_share=0.0,
        eval_steps=0,
        bf16=False,
        logging_steps=1,
        report_to="none",
    )
    dpo.run(config, work, work / "dpo")
    swapped = replace(config, swap_sides=True)
    dpo.run(swapped, work, work / "dpo_reversed")
    run(CLIP, work, work / "token_weights")
    contrast = read_manifest(work / "token_weights")["contrast"]
    assert contrast["mean_on_chosen"] < 0 < contrast["mean_on_rejected"]
    dpo.run(replace(config, token_weights="token_weights"), work, work / "tis")
    losses = [line["loss"] for line in read_manifest(work / "tis")["log"] if "loss" in line]
    # Policy and reference have the same weighted sums before the first step.
    assert losses[0] == pytest.approx(0.693, abs=1e-3)
    assert losses[-1] < 0.5
