"""Whole runs on a tiny model, in float32: one way of running is as good as another."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_pre_hook
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer
from transformers.models.llama.modeling_llama import LlamaMLP

from reward_model.network import RewardNetwork
from reward_model.release.release import open_release
from reward_model.text.encoding import Encoder
from tests.checkpoints import make_tokenizer
from tests.trainer.training.stages import make_base, make_pairs, make_work, rows, weights
from trainer.pairs.row import conversation
from trainer.pipeline.stage import StageError, read_manifest
from trainer.training import pretrain
from trainer.training.config import Branch, LoraAdapters
from trainer.training.loop.checkpoints import folder_of
from trainer.training.objective.loss import LossWeights
from trainer.training.pretrain import PretrainConfig
from trainer.training.weights.start import OUTPUT, load_start

CONFIG = PretrainConfig(
    start="base",
    max_steps=6,
    prompts_per_step=4,
    learning_rate=3e-3,
    optimizer="adamw",
    warmup_ratio=0.34,
    bf16=False,
    logging_steps=2,
    report_to="none",
)


@pytest.fixture
def work(tmp_path: Path) -> Path:
    return make_work(tmp_path)


def run(config: PretrainConfig, work: Path, name: str) -> Path:
    pretrain.run(config, work, work / name)
    return work / name


def gap(one: Path, other: Path) -> float:
    left, right = weights(one), weights(other)
    assert left.keys() == right.keys()
    return max(float((left[name].float() - right[name].float()).abs().max()) for name in left)


def test_micro_batches_add_up_to_the_large_batch(work: Path) -> None:
    whole = run(CONFIG, work, "whole")
    parts = run(replace(CONFIG, gradient_accumulation_steps=2), work, "parts")
    assert gap(whole, work / "base") > 1e-3
    assert gap(whole, parts) < 1e-5
    for left, right in zip(*(read_manifest(stage)["log"][:-1] for stage in (whole, parts))):  # noqa: B905
        assert {n: v for n, v in left.items() if n != "grad_norm"} == pytest.approx(
            {n: v for n, v in right.items() if n != "grad_norm"}, rel=1e-4
        )


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_branch_is_the_run_that_had_decayed_from_there(work: Path, optimizer: str) -> None:
    trunk = replace(CONFIG, max_steps=8, warmup_ratio=0.25, decay_ratio=0.0, branch_points=True)
    trunk = replace(trunk, optimizer=optimizer)  # type: ignore[arg-type]  # one of the two
    run(trunk, work, "trunk")
    assert (work / "trunk-checkpoints" / "checkpoint-3").is_dir()
    branch = replace(trunk, max_steps=6, branch_from=Branch("trunk", 3), branch_points=False)
    branched = run(branch, work, "branch")
    straight = run(
        replace(trunk, max_steps=6, warmup_ratio=0.34, decay_ratio=0.5), work, "straight"
    )
    assert gap(branched, straight) == 0
    assert not folder_of(branched).exists()


def test_a_branch_of_another_run_is_refused(work: Path) -> None:
    trunk = replace(CONFIG, decay_ratio=0.0, branch_points=True)
    run(trunk, work, "trunk")
    with pytest.raises(StageError, match="no checkpoint of step 77, but of 2, 3"):
        run(replace(trunk, max_steps=99, branch_from=Branch("trunk", 77)), work, "branch")
    branch = replace(trunk, max_steps=9, learning_rate=1.0, branch_from=Branch("trunk", 2))
    with pytest.raises(StageError, match="learning_rate of trunk is another"):
        run(branch, work, "branch")


def test_adapters_are_merged_into_a_checkpoint_that_loads_plainly(work: Path) -> None:
    config = replace(CONFIG, lora=LoraAdapters(r=4), learning_rate=3e-2)
    tuned = run(config, work, "tuned")
    before, after = weights(work / "base"), weights(tuned)
    assert before.keys() == after.keys()
    changed = {
        name for name in after if not torch.equal(before[name].bfloat16(), after[name].bfloat16())
    }
    assert "score.weight" in changed
    assert {
        "model.layers.0.self_attn.q_proj.weight",
        "model.layers.1.mlp.up_proj.weight",
    } <= changed
    assert "model.embed_tokens.weight" not in changed
    model = AutoModelForSequenceClassification.from_pretrained(tuned)
    ids = AutoTokenizer.from_pretrained(tuned)("def add(a, b)", return_tensors="pt")["input_ids"]
    served = RewardNetwork.load(open_release(tuned), device="cpu", dtype="float32")
    encoder = Encoder(served.tokenizer, max_tokens=512, pad_id=None)
    sequence = encoder.checked(ids[0].tolist())
    with torch.inference_mode():
        score = float(model(ids).logits)
    assert served.score([sequence])[0][0] == pytest.approx(score, abs=1e-5)


def test_adapters_learn_what_the_merged_checkpoint_has(work: Path) -> None:
    """The accuracy of the last evaluation, by adapters, is that of the plain checkpoint."""
    config = replace(
        CONFIG, lora=LoraAdapters(r=4), learning_rate=3e-2, max_steps=12, eval_steps=12
    )
    tuned = run(replace(config, weights=LossWeights(lm=0.0)), work, "tuned")
    log = read_manifest(tuned)["log"]
    by_adapters = next(line["eval_accuracy"] for line in log if "eval_accuracy" in line)
    network = RewardNetwork.load(open_release(tuned), device="cpu", dtype="float32")
    encoder = Encoder(network.tokenizer, max_tokens=512, pad_id=None)
    right = []
    for row in rows(6, "held-out"):
        texts = [row.chosen, *(rival.text for rival in row.rejected)]
        batch = [encoder.encode(conversation(row.prompt, text)) for text in texts]
        chosen, *rivals = (score for (score,) in network.score(batch))
        right += [chosen > rival for rival in rivals]
    assert sum(right) / len(right) == pytest.approx(by_adapters, abs=1 / 12)


def test_recomputing_activations_changes_nothing(work: Path) -> None:
    calls: Counter[str] = Counter()

    def count(module: nn.Module, _: object) -> None:
        calls[name] += isinstance(module, LlamaMLP)

    with register_module_forward_pre_hook(count):
        for name, recompute in (("kept", False), ("again", True)):
            run(replace(CONFIG, gradient_checkpointing=recompute), work, name)
    assert calls["again"] > 1.5 * calls["kept"], "they were computed again"
    assert gap(work / "kept", work / "again") < 1e-6


def test_four_bits_need_a_gpu_and_say_so(work: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(StageError, match="bitsandbytes"):
        run(replace(CONFIG, lora=LoraAdapters(load_in_4bit=True)), work, "tuned")


def test_a_causal_language_model_lends_its_own_output_embedding(tmp_path: Path) -> None:
    """And the next stage finds it beside the checkpoint."""
    make_pairs(tmp_path / "pairs", rows(12))
    causal = tmp_path / "causal"
    make_base(tmp_path / "shape", "qwen2", tie_word_embeddings=False)
    model = AutoModelForCausalLM.from_config(
        AutoModelForSequenceClassification.from_pretrained(tmp_path / "shape").config
    )
    model.save_pretrained(causal)
    make_tokenizer().save_pretrained(causal)
    first = run(replace(CONFIG, start=str(causal)), tmp_path, "first")
    assert (first / OUTPUT).is_file()
    start = load_start(first, seed=1, with_lm=True)
    assert start.output is not None
    assert torch.equal(start.model.get_parameter("score.weight"), weights(first)["score.weight"])
    assert not torch.equal(start.output, model.lm_head.weight)
    torch.testing.assert_close(start.output, model.lm_head.weight, atol=0.05, rtol=0)
    run(replace(CONFIG, start="first"), tmp_path, "second")
    ranked = replace(CONFIG, start="second", weights=LossWeights(lm=0.0))
    assert not (run(ranked, tmp_path, "third") / OUTPUT).exists()
    with pytest.raises(StageError, match="not among its weights"):
        run(replace(CONFIG, start="third"), tmp_path, "fourth")


def test_a_fresh_head_depends_on_the_seed_alone(tmp_path: Path) -> None:
    make_base(tmp_path / "base")
    causal = AutoModelForCausalLM.from_config(
        AutoModelForSequenceClassification.from_pretrained(tmp_path / "base").config
    )
    causal.save_pretrained(tmp_path / "causal")
    make_tokenizer().save_pretrained(tmp_path / "causal")
    starts = [load_start(tmp_path / "causal", seed=seed, with_lm=False) for seed in (1, 1, 2)]
    same, again, other = (s.model.get_parameter("score.weight") for s in starts)
    assert torch.equal(same, again)
    assert not torch.equal(same, other)


def test_an_end_token_parts_the_end_of_a_text_from_its_pad(tmp_path: Path) -> None:
    make_base(tmp_path / "base", pad_is_eos=True)
    with pytest.raises(StageError, match="set end_token"):
        load_start(tmp_path / "base", seed=1, with_lm=False)
    with pytest.raises(StageError, match="not in its vocabulary"):
        load_start(tmp_path / "base", seed=1, with_lm=False, end_token="<|nothing|>")
    start = load_start(tmp_path / "base", seed=1, with_lm=False, end_token="<|end|>")
    assert start.tokenizer.eos_token == "<|end|>"
    assert start.model.config.eos_token_id == start.tokenizer.eos_token_id
    assert start.model.config.pad_token_id == start.tokenizer.pad_token_id


def test_a_step_that_cannot_be_shared_says_by_what_to_divide(work: Path) -> None:
    with pytest.raises(StageError, match="make it a multiple of 3"):
        run(replace(CONFIG, gradient_accumulation_steps=3), work, "odd")


def test_a_start_that_is_nowhere_is_named(work: Path) -> None:
    with pytest.raises(StageError, match="no stage elsewhere"):
        run(replace(CONFIG, start="elsewhere"), work, "lost")


def test_weights_and_biases_are_asked_for_by_name(work: Path) -> None:
    with pytest.raises(StageError, match="pip install wandb"):
        run(replace(CONFIG, report_to="wandb"), work, "logged")


def test_tensorboard_files_lie_beside_the_stage(work: Path) -> None:
    run(replace(CONFIG, report_to="tensorboard"), work, "logged")
    assert list((work / "logs" / "logged").glob("events.out.tfevents.*"))
