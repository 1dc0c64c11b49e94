import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

from reward_model.release.release import ReleaseError
from tests.checkpoints import make_checkpoint, make_tokenizer
from tests.trainer.training.stages import make_base, make_pairs, make_work, rows, weights
from trainer.pipeline.stage import StageError
from trainer.training import pretrain
from trainer.training.config import LoraAdapters
from trainer.training.objective.losses import LossWeights
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
    with pytest.raises(StageError, match="not in its vocabulary"):
        load_start(tmp_path / "base", seed=1, with_lm=False, end_token="<|nothing|>")
    start = load_start(tmp_path / "base", seed=1, with_lm=False, end_token="<|end|>")
    assert start.tokenizer.eos_token == "<|end|>"
    assert start.model.config.eos_token_id == start.tokenizer.eos_token_id
    assert start.model.config.pad_token_id == start.tokenizer.pad_token_id
    assert (start.tokenizer.pad_token, start.pad.origin) == ("<|eos|>", "own")


def test_one_of_several_chat_templates_is_the_default(tmp_path: Path) -> None:
    """transformers keeps templates by name, and a release has one."""
    make_base(tmp_path / "base")
    tokenizer = make_tokenizer()
    assert isinstance(tokenizer.chat_template, str)
    named = {"default": tokenizer.chat_template, "tool_use": "{{ messages }}"}
    tokenizer.chat_template = named
    tokenizer.save_pretrained(tmp_path / "base")
    assert (tmp_path / "base" / "additional_chat_templates").is_dir()
    start = load_start(tmp_path / "base", seed=1, with_lm=False)
    assert start.tokenizer.chat_template == named["default"]
    assert start.templates == ("default", "tool_use")
    make_base(tmp_path / "unnamed")
    (tmp_path / "unnamed" / "chat_template.jinja").unlink()
    tokenizer.chat_template = {"rag": "{{ messages }}", "tool_use": "{{ messages }}"}
    tokenizer.save_pretrained(tmp_path / "unnamed")
    with pytest.raises(StageError, match="rag, tool_use and none named default"):
        load_start(tmp_path / "unnamed", seed=1, with_lm=False)


def test_a_start_that_is_nowhere_is_named(work: Path) -> None:
    with pytest.raises(StageError, match="no stage elsewhere"):
        run(replace(CONFIG, start="elsewhere"), work, "lost")


def test_a_start_whose_index_names_a_pickle_is_refused(tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path)
    (folder / "model.safetensors").rename(folder / "weights.dat")
    index = {"metadata": {}, "weight_map": {"score.weight": "weights.dat"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ReleaseError, match="are ever loaded"):
        load_start(folder, seed=0, with_lm=False)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ({"model.safetensors": b"short"}, "its model cannot be loaded"),
        ({"config.json": b"{"}, "its tokenizer cannot be loaded"),
        ({"tokenizer.json": b"{}"}, "its tokenizer cannot be loaded"),
        ({"chat_template.jinja": b"{{ x }"}, "its chat template cannot be loaded"),
        ({"config.json": b'{"model_type": "unheard"}'}, "cannot be loaded .*unheard"),
    ],
)
def test_a_damaged_start_is_refused_in_a_sentence(
    tmp_path: Path, damage: dict[str, bytes], message: str
) -> None:
    base = make_checkpoint(tmp_path / "base")
    for name, content in damage.items():
        assert (base / name).is_file()
        (base / name).write_bytes(content)
    with pytest.raises(StageError, match=f"{base}: .*{message}"):
        load_start(base, seed=1, with_lm=False)


def test_a_start_that_gives_two_scores_is_refused_in_a_sentence(tmp_path: Path) -> None:
    base = make_checkpoint(tmp_path / "base", "llama", labels=2)
    with pytest.raises(ReleaseError, match="its head gives 2 scores"):
        load_start(base, seed=1, with_lm=False)
