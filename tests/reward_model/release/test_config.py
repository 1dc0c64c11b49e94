"""Facts of a checkpoint are what transformers' own class of its config says."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForSequenceClassification

from reward_model.network import RewardNetwork
from reward_model.release.checkpoint import load_model
from reward_model.release.files import ReleaseError
from reward_model.release.release import Release, open_release, read_manifest, write_manifest
from reward_model.text.encoding import Encoder
from tests.checkpoints import make_checkpoint
from tests.releases import make_release

NAN = float("nan")


def drop(path: Path, *names: str) -> None:
    file = path / "config.json"
    config: dict[str, Any] = json.loads(file.read_text())
    file.write_text(json.dumps({key: config[key] for key in config if key not in names}))


def with_entries(path: Path, entries: dict[str, object]) -> Release:
    file = make_checkpoint(path) / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | entries))
    return open_release(path)


def test_what_a_config_leaves_out_is_what_its_class_says(tmp_path: Path) -> None:
    path = make_checkpoint(tmp_path, "gemma3_text", head_dim=8)
    drop(path, "max_position_embeddings", "pad_token_id")
    opened = open_release(path)
    assert (opened.max_tokens, opened.pad_id) == (131072, 0)


def test_the_pad_of_the_class_counts_as_transformers_counts_it(tmp_path: Path) -> None:
    """Gemma's class says 0, which a template here writes at the end of every turn."""
    template = "{% for m in messages %}{{ m.content }}<|pad|>{% endfor %}"
    path = make_checkpoint(tmp_path, "gemma3_text", head_dim=8, template=template)
    drop(path, "pad_token_id")
    opened = open_release(path)
    network = RewardNetwork.load(opened, device="cpu")
    encoder = Encoder(network.tokenizer, max_tokens=512, pad_id=opened.pad_id)
    ids = network.tokenizer("question<|pad|>answer<|pad|>")["input_ids"]
    plain = AutoModelForSequenceClassification.from_pretrained(path).eval()
    with torch.inference_mode():
        expected = float(plain(input_ids=torch.tensor([ids])).logits[0, 0])
    ((score,),) = network.score([encoder.checked(ids)])
    assert score == pytest.approx(expected, abs=1e-4)


def test_the_language_model_of_a_nested_config_is_asked(tmp_path: Path) -> None:
    path = make_checkpoint(tmp_path, "gemma3_text", head_dim=8)
    text = json.loads((path / "config.json").read_text())
    del text["max_position_embeddings"]
    nested = {"model_type": "gemma3", "text_config": text | {"pad_token_id": 5}}
    (path / "config.json").write_text(json.dumps(nested | {"num_labels": 1}))
    opened = open_release(path)
    assert (opened.max_tokens, opened.pad_id, opened.labels) == (131072, 5, 1)


@pytest.mark.parametrize(
    ("rope", "longest"),
    [
        ({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 1024}, 4096),
        ({"type": "yarn", "factor": 4.0}, 2048),
        ({"rope_type": "yarn", "factor": 2, "original_max_position_embeddings": 128}, 512),
        ({"rope_type": "linear", "factor": 8.0}, 512),
    ],
)
def test_yarn_stretches_the_original_length(
    tmp_path: Path, rope: dict[str, object], longest: int
) -> None:
    opened = with_entries(
        tmp_path, {"rope_parameters": None, "rope_scaling": rope, "rope_theta": 10000.0}
    )
    assert opened.max_tokens == longest


@pytest.mark.parametrize(
    ("entries", "name"),
    [
        ({"max_position_embeddings": 0}, "max_position_embeddings is 0"),
        ({"max_position_embeddings": -1}, "max_position_embeddings is -1"),
        ({"rope_parameters": {"rope_theta": NAN}}, "rope_theta is not a number"),
        ({"rope_parameters": {"rope_theta": -1.0}}, "rope_theta is -1.0"),
        ({"rope_theta": float("inf")}, "rope_theta is inf"),
        ({"rope_scaling": {"rope_type": "yarn", "factor": 0}}, "factor is 0"),
        ({"rms_norm_eps": -1e-6}, "rms_norm_eps is -1e-06"),
        ({"initializer_range": NAN}, "initializer_range is not a number"),
        ({"vocab_size": 0}, "vocab_size is 0"),
        ({"num_attention_heads": "many"}, "transformers cannot read it"),
        ({"model_type": "no-such-type"}, "transformers cannot read it"),
        ({"model_type": "own", "auto_map": {"AutoConfig": "code.C"}}, "only as code"),
        ({"model_type": "xlnet"}, "token types"),
    ],
)
def test_configs_that_no_model_can_have_are_refused(
    tmp_path: Path, entries: dict[str, object], name: str
) -> None:
    with pytest.raises(ReleaseError, match=rf"(?s)config\.json: .*{name}"):
        with_entries(tmp_path, entries)


@pytest.mark.parametrize(
    "entries",
    [
        {"attn_implementation": "kernels-community/flash-attn"},
        {"attn_implementation": "somebody/anything"},
        {"attn_implementation": {"": "flash_attention_2"}},
        {"_attn_implementation": "flash_attention_3"},
        {"experts_implementation": "sonicmoe"},
        {"fusion_config": {"patch_embeddings": True}},
        {"use_kernels": True},
        {"auto_map": {"AutoModelForSequenceClassification": "code.Model"}},
    ],
)
def test_no_entry_of_a_config_fetches_code(tmp_path: Path, entries: dict[str, object]) -> None:
    opened = with_entries(tmp_path, entries)
    assert load_model(opened).config._attn_implementation == "sdpa"


def test_quantized_weights_are_for_another_engine(tmp_path: Path) -> None:
    opened = with_entries(tmp_path, {"quantization_config": {"quant_method": "fp8"}})
    with pytest.raises(ReleaseError, match=r"quantized.*--engine vllm"):
        load_model(opened)


def test_a_config_without_a_longest_text_says_so(tmp_path: Path) -> None:
    make_checkpoint(tmp_path, "bloom", hidden_size=32, n_head=4, n_layer=2)
    drop(tmp_path, "max_position_embeddings")
    opened = open_release(tmp_path)
    assert opened.max_tokens == 512
    assert "--max-tokens" in opened.warnings[-1]
    chosen = open_release(tmp_path, max_tokens=300)
    assert (chosen.max_tokens, len(chosen.warnings)) == (300, 1)


def test_a_chosen_length_replaces_that_of_config_and_tokenizer(tmp_path: Path) -> None:
    make_checkpoint(tmp_path)
    file = tmp_path / "tokenizer_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"model_max_length": 64}))
    assert RewardNetwork.load(open_release(tmp_path), device="cpu").max_tokens == 64
    chosen = open_release(tmp_path, max_tokens=1000)
    assert RewardNetwork.load(chosen, device="cpu").max_tokens == 1000


def test_no_chosen_length_exceeds_a_table_of_positions(tmp_path: Path) -> None:
    path = make_checkpoint(tmp_path, "bert")
    assert RewardNetwork.load(open_release(path, max_tokens=1000), device="cpu").max_tokens == 512


def test_the_length_of_a_release_can_be_lowered_and_not_raised(tmp_path: Path) -> None:
    folder = make_release(tmp_path / "rm")
    assert open_release(folder, max_tokens=100).max_tokens == 100
    with pytest.raises(ReleaseError, match="takes 512 tokens at most"):
        open_release(folder, max_tokens=513)


def test_a_manifest_that_copied_no_limit_is_bounded_by_the_config(tmp_path: Path) -> None:
    folder = make_release(tmp_path / "rm")
    manifest = read_manifest(folder)
    limitless = manifest.encoding.model_copy(update={"max_tokens": 10**30})
    write_manifest(folder, manifest.model_copy(update={"encoding": limitless}))
    assert open_release(folder).max_tokens == 512


def test_a_language_model_is_said_to_have_no_score_head(tmp_path: Path) -> None:
    entries: dict[str, object] = {"architectures": ["Qwen2ForCausalLM"]}
    entries |= {"id2label": None, "label2id": None}
    with pytest.raises(ReleaseError, match="is a language model, which has no score head; train"):
        with_entries(tmp_path, entries | {"problem_type": None})
