"""Weights and tokenizer are loaded whole and as they were saved, or not at all."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForSequenceClassification

from reward_model.network import RewardNetwork
from reward_model.release.checkpoint import backbone_dtype, load_model, load_tokenizer
from reward_model.release.release import ReleaseError, open_release
from tests.checkpoints import make_checkpoint
from tests.releases import make_release, rewrite_manifest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_release(tmp_path / "rm")


@pytest.mark.parametrize("architecture", ["qwen2", "bert", "roberta"])
def test_the_backbone_is_cast_and_the_head_and_buffers_are_not(
    tmp_path: Path, architecture: str
) -> None:
    release = open_release(make_checkpoint(tmp_path, architecture))
    model = load_model(release, dtype="bfloat16")
    assert backbone_dtype(model) == torch.bfloat16
    assert {b.dtype for b in model.buffers() if b.is_floating_point()} <= {torch.float32}
    exact = dict(load_model(release).named_parameters())
    for name, parameter in model.named_parameters():
        head = any(part in name for part in ("score", "classifier", "pooler"))
        assert parameter.dtype == (torch.float32 if head else torch.bfloat16), name
        assert torch.equal(parameter, exact[name].to(parameter.dtype)), name


def test_a_named_template_replaces_the_tokenizers_own(tmp_path: Path) -> None:
    release = open_release(make_checkpoint(tmp_path))
    template = "{{ messages[-1].content }}"
    assert load_tokenizer(replace(release, chat_template=template)).chat_template == template
    assert load_tokenizer(release).chat_template != template


def test_the_facts_of_a_release_are_those_of_its_tokenizer(folder: Path) -> None:
    release = open_release(folder)
    assert release.encoding is not None
    assert load_tokenizer(release).pad_token == release.encoding.pad_token


def test_a_checkpoint_without_its_head_is_refused(tmp_path: Path) -> None:
    make_checkpoint(tmp_path)
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    model.base_model.save_pretrained(tmp_path, state_dict=model.base_model.state_dict())
    with pytest.raises(ReleaseError, match=r"score\.weight"):
        RewardNetwork.load(open_release(tmp_path), device="cpu")


@pytest.mark.parametrize("missing", ["tokenizer.json", "chat_template.jinja"])
def test_a_checkpoint_without_a_tokenizer_or_template_is_refused(
    tmp_path: Path, missing: str
) -> None:
    make_checkpoint(tmp_path)
    (tmp_path / missing).unlink()
    with pytest.raises(ReleaseError, match=r"tokenizer"):
        RewardNetwork.load(open_release(tmp_path), device="cpu")


def test_a_template_that_renders_nothing_is_refused(tmp_path: Path) -> None:
    make_checkpoint(tmp_path)
    (tmp_path / "chat_template.jinja").write_text("{% for m in messages %}{{ m.content ")
    with pytest.raises(ReleaseError, match="renders no conversation"):
        load_tokenizer(open_release(tmp_path))


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "config.json"])
def test_half_a_file_of_a_bare_checkpoint_is_refused(tmp_path: Path, name: str) -> None:
    make_checkpoint(tmp_path)
    file = tmp_path / name
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(ReleaseError):
        RewardNetwork.load(open_release(tmp_path), device="cpu")


def test_a_tokenizer_that_loads_as_another_is_refused(folder: Path) -> None:
    config = folder / "tokenizer_config.json"
    config.write_text(config.read_text().replace("<|eos|>", "<|end|>"))
    rewrite_manifest(folder)
    with pytest.raises(ReleaseError, match="eos_token"):
        load_tokenizer(open_release(folder))
