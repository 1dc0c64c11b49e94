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
