from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from reward_model.network import RewardNetwork
from reward_model.release.release import open_release
from reward_model.text.encoding import Encoder
from tests.checkpoints import make_tokenizer
from tests.trainer.training.stages import make_base, make_pairs, make_work, rows, weights
from trainer.pairs.row import conversation
from trainer.pipeline.stage import read_manifest
from trainer.training import pretrain
from trainer.training.config import LoraAdapters
from trainer.training.objective.losses import LossWeights
from trainer.training.pretrain import PretrainConfig
from trainer.training.weights.lora import add_adapters
from trainer.training.weights.start import load_start

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


@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
def test_a_trained_embedding_with_new_rows_is_merged(tmp_path: Path, architecture: str) -> None:
    """A word was added to the tokenizer, and its row is learnt beside the adapters."""
    make_pairs(tmp_path / "pairs", rows(20, "<tool_call>"), rows(6, "held-out"))
    make_base(tmp_path / "base", architecture)
    tokenizer = make_tokenizer()
    tokenizer.add_tokens(["<tool_call>"])
    tokenizer.save_pretrained(tmp_path / "base")
    embedding = {"llama": "embed_tokens", "gpt2": "wte"}[architecture]
    lora = LoraAdapters(r=4, modules_to_save=(embedding,))
    config = replace(CONFIG, lora=lora, learning_rate=3e-2, eval_steps=6)
    tuned = run(config, tmp_path, "tuned")
    (name,) = [name for name in weights(tuned) if embedding in name]
    before, after = weights(tmp_path / "base")[name], weights(tuned)[name].float()
    assert len(after) == len(before) + 1
    mean = before.mean(dim=0)
    assert not torch.allclose(after[-1], mean, atol=1e-2), "the new row was learnt"
    network = RewardNetwork.load(open_release(tuned), device="cpu", dtype="float32")
    model = AutoModelForSequenceClassification.from_pretrained(tuned)
    encoder = Encoder(network.tokenizer, max_tokens=512, pad_id=None)
    text = encoder.encode(conversation("<tool_call>: add", "def add(a, b): return a + b"))
    assert len(before) in text.ids
    with torch.inference_mode():
        score = float(model(torch.tensor([text.ids])).logits)
    assert network.score([text])[0][0] == pytest.approx(score, abs=1e-4)


def test_only_the_named_layers_get_adapters(tmp_path: Path) -> None:
    make_base(tmp_path / "base")
    model = load_start(tmp_path / "base", seed=1, with_lm=False).model
    add_adapters(model, LoraAdapters(r=2, target_modules=("q_proj", "v_proj")))
    adapted = {name for name, weight in model.named_parameters() if weight.requires_grad}
    layers = {name.split(".")[-4] for name in adapted if "lora_" in name}
    assert layers == {"q_proj", "v_proj"}
    assert any("score.modules_to_save" in name for name in adapted)
