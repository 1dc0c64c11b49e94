"""A LoRA adapter directory is opened together with its base."""

from collections.abc import Callable
from pathlib import Path

import pytest

from reward_model.network import RewardNetwork
from reward_model.release.lora import open_checkpoint, read_config
from reward_model.release.release import ReleaseError
from tests.checkpoints import make_checkpoint, make_tokenizer
from tests.reward_model.release.adapters import change, make_adapter, make_base, scores

# PEFT 0.21 asks for an attribute that transformers 5.23 has renamed.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")


def test_a_relative_base_is_seen_from_the_adapter(tmp_path: Path) -> None:
    adapter = make_adapter(tmp_path, make_base(tmp_path), saved=["score"])
    before = scores(adapter)
    change(adapter, base_model_name_or_path="../base")
    assert scores(adapter) == before
    assert open_checkpoint(adapter).name == "adapter"


def test_the_adapters_own_tokenizer_goes_before_its_bases(tmp_path: Path) -> None:
    adapter = make_adapter(tmp_path, make_base(tmp_path), saved=["score"])
    network = RewardNetwork.load(open_checkpoint(adapter), device="cpu")
    of_base = network.tokenizer.chat_template
    make_tokenizer(template="{{ messages[0].content }}").save_pretrained(adapter)
    network = RewardNetwork.load(open_checkpoint(adapter), device="cpu")
    assert network.tokenizer.chat_template == "{{ messages[0].content }}" != of_base


def pickle_weights(adapter: Path) -> None:
    (adapter / "adapter_model.safetensors").rename(adapter / "adapter_model.bin")


def drop_base(adapter: Path) -> None:
    change(adapter, base_model_name_or_path="/no/such/base")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (pickle_weights, "pickled weights are never loaded"),
        (drop_base, "its base is not available: /no/such/base: no such directory"),
        (lambda path: change(path, peft_type="IA3"), "peft_type.*only LoRA adapters"),
        (lambda path: change(path, base_model_name_or_path=None), "base_model_name_or_path"),
        (lambda path: (path / "adapter_config.json").write_text("{"), "cannot be read as JSON"),
        (lambda path: change(path, base_model_name_or_path="."), "is an adapter too"),
    ],
)
def test_an_adapter_that_cannot_be_opened_says_why(
    tmp_path: Path, spoil: Callable[[Path], object], message: str
) -> None:
    adapter = make_adapter(tmp_path, make_base(tmp_path), saved=["score"])
    spoil(adapter)
    with pytest.raises(ReleaseError, match=f"(?s){message}"):
        open_checkpoint(adapter)


def test_facts_are_the_bases_and_the_name_is_the_adapters(tmp_path: Path) -> None:
    base = make_base(tmp_path)
    adapter = make_adapter(tmp_path, base, saved=["score"])
    release = open_checkpoint(adapter)
    assert (release.path, release.adapter, release.name) == (base, adapter, "adapter")
    assert (release.max_tokens, release.golden, release.calibration) == (512, (), None)
    assert "LoRA adapter" in release.warnings[0]
    assert read_config(adapter / "adapter_config.json").base_model_name_or_path == str(base)


def test_another_directory_is_opened_as_a_release(tmp_path: Path) -> None:
    release = open_checkpoint(make_checkpoint(tmp_path / "model"))
    assert (release.name, release.adapter) == ("model", None)


def test_a_base_that_the_hub_does_not_give(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    adapter = make_adapter(tmp_path, make_base(tmp_path), saved=["score"])
    change(adapter, base_model_name_or_path="nobody/nothing")
    with pytest.raises(ReleaseError, match=r"nobody/nothing: .*the hub does not give it"):
        open_checkpoint(adapter)


@pytest.mark.parametrize(
    "entries",
    [
        {"target_modules": "(([a-z_]+)+[.0-9]*)+X"},
        {"target_modules": r".*\.(q_proj|v_proj)"},
        {"target_modules": ["q_proj", "(a+)+b"]},
        {"exclude_modules": "(a|a)+b"},
        {"exclude_modules": ["x", "(a|a)+b"]},
        {"rank_pattern": {"(a+)+b": 4}},
        {"alpha_pattern": {"(a+)+b": 4}},
        {"layers_pattern": "(a+)+b", "layers_to_transform": [0]},
        {"layers_pattern": ["(a+)+b"], "layers_to_transform": [0]},
        {"modules_to_save": ["(a+)+b"]},
        {"target_parameters": ["(a+)+b"]},
        {"trainable_token_indices": {"(a+)+b": [1]}},
    ],
)
def test_patterns_in_an_adapters_config_are_refused_unevaluated(
    tmp_path: Path, entries: dict[str, object]
) -> None:
    adapter = make_adapter(tmp_path, make_base(tmp_path), saved=["score"])
    change(adapter, **entries)
    name = next(iter(entries))
    with pytest.raises(ReleaseError, match=rf"{name}: .*plain names of modules are taken; list"):
        open_checkpoint(adapter)


def test_the_refusal_of_a_pattern_lists_the_modules_of_the_weights(tmp_path: Path) -> None:
    adapter = make_adapter(tmp_path, make_base(tmp_path), saved=["score"])
    before = scores(adapter)
    change(adapter, target_modules=r".*\.(q_proj|v_proj)")
    with pytest.raises(ReleaseError, match=r'"target_modules": \["q_proj", "v_proj"\]'):
        open_checkpoint(adapter)
    change(adapter, target_modules=["q_proj", "v_proj"])
    assert scores(adapter) == before


@pytest.mark.parametrize(
    "entries",
    [
        {"megatron_config": {"a": 1}, "megatron_core": "this"},
        {"r": 10**9},
        {"rank_pattern": {"q_proj": 10**9}},
        {"alpha_pattern": {"q_proj": float("nan")}},
        {"layers_to_transform": ["0"]},
        {"alora_invocation_tokens": [1]},
    ],
)
def test_other_entries_that_cannot_be_merged_are_refused(
    tmp_path: Path, entries: dict[str, object]
) -> None:
    adapter = make_adapter(tmp_path, make_base(tmp_path), saved=["score"])
    change(adapter, **entries)
    with pytest.raises(ReleaseError, match=next(iter(entries))):
        open_checkpoint(adapter)


@pytest.mark.parametrize(
    "entries",
    [
        {"rank_pattern": {"model.layers.0.self_attn.q_proj": 4}},
        {"rank_pattern": {"^model.layers.0.self_attn.q_proj": 4}, "alpha_pattern": {"v_proj": 16}},
        {"exclude_modules": ["o_proj"], "layers_to_transform": [0, 1], "layers_pattern": "layers"},
    ],
)
def test_plain_names_are_taken(tmp_path: Path, entries: dict[str, object]) -> None:
    adapter = make_adapter(tmp_path, make_base(tmp_path), saved=["score"])
    before = scores(adapter)
    change(adapter, **entries)
    assert scores(adapter) == before
