"""A LoRA adapter directory is served as the checkpoint that merging it gives."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from peft import PeftModel, get_peft_config, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    PreTrainedModel,
)

from reward_model.network import RewardNetwork
from reward_model.packing import Sequence
from reward_model.release.checkpoint import load_model
from reward_model.release.lora import open_checkpoint
from reward_model.release.release import ReleaseError
from tests.checkpoints import make_checkpoint, make_tokenizer

TEXTS = [tuple(range(7, 7 + length)) for length in (1, 9, 40)]
# PEFT 0.21 asks for an attribute that transformers 5.23 has renamed.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")


def make_base(folder: Path, architecture: str = "llama") -> Path:
    """Weights of a language model, as reward models are usually trained from: without a head."""
    path = make_checkpoint(folder / "base", architecture)
    model = AutoModelForSequenceClassification.from_pretrained(path)
    if architecture == "roberta":
        language_model = AutoModelForMaskedLM.from_config(model.config)
    else:
        language_model = AutoModelForCausalLM.from_config(model.config)
    language_model.base_model.load_state_dict(model.base_model.state_dict(), strict=False)
    language_model.save_pretrained(path)
    config = json.loads((path / "config.json").read_text())
    for entry in ("id2label", "label2id", "num_labels", "problem_type"):
        config.pop(entry, None)
    (path / "config.json").write_text(json.dumps(config))
    return path


def make_adapter(folder: Path, base: Path, *, saved: list[str] | None, **lora: object) -> Path:
    """Random LoRA weights on the attention; `saved` are the modules to save whole."""
    model = AutoModelForSequenceClassification.from_pretrained(base, num_labels=1)
    targets = lora.pop("target_modules", ["q_proj", "v_proj"])
    options = {
        "peft_type": "LORA",
        "r": 4,
        "lora_alpha": 16,
        "target_modules": targets,
        "modules_to_save": saved,
    }
    adapted = get_peft_model(model, get_peft_config(options | lora))
    torch.manual_seed(1)
    for name, parameter in adapted.named_parameters():
        if "lora_" in name or "modules_to_save" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    adapted.save_pretrained(str(folder / "adapter"))
    return folder / "adapter"


def unmerged(base: Path, adapter: Path) -> list[float]:
    model: PreTrainedModel = AutoModelForSequenceClassification.from_pretrained(base, num_labels=1)
    adapted = PeftModel.from_pretrained(model, str(adapter)).eval()
    with torch.inference_mode():
        return [float(adapted(input_ids=torch.tensor([ids])).logits[0, 0]) for ids in TEXTS]


def scores(path: Path, dtype: str = "float32") -> list[float]:
    network = RewardNetwork.load(open_checkpoint(path), device="cpu", dtype=dtype)
    assert network.fallback_reason is None
    return [score for (score,) in network.score([Sequence(t, (len(t) - 1,)) for t in TEXTS])]


@pytest.mark.parametrize(
    "lora",
    [
        {},
        {"task_type": "SEQ_CLS"},
        {"use_rslora": True},
        {"use_dora": True},
        {"target_modules": "all-linear", "task_type": "SEQ_CLS"},
    ],
)
def test_the_score_is_that_of_the_unmerged_adapter(tmp_path: Path, lora: dict[str, object]) -> None:
    base = make_base(tmp_path)
    adapter = make_adapter(tmp_path, base, saved=["score"], **lora)
    assert scores(adapter) == pytest.approx(unmerged(base, adapter), abs=1e-4)


def test_a_head_of_another_name_that_peft_saves_by_itself(tmp_path: Path) -> None:
    base = make_base(tmp_path, "roberta")
    adapter = make_adapter(
        tmp_path, base, saved=None, target_modules=["query", "dense"], task_type="SEQ_CLS"
    )
    assert scores(adapter) == pytest.approx(unmerged(base, adapter), abs=1e-4)


def test_a_head_that_the_base_has_and_the_adapter_has_not(tmp_path: Path) -> None:
    base = make_checkpoint(tmp_path / "base", "llama")
    adapter = make_adapter(tmp_path, base, saved=None)
    assert scores(adapter) == pytest.approx(unmerged(base, adapter), abs=1e-4)


def test_it_is_merged_before_it_is_cast(tmp_path: Path) -> None:
    base = make_base(tmp_path)
    adapter = make_adapter(tmp_path, base, saved=["score"])
    release = open_checkpoint(adapter)
    exact = load_model(release, device="cpu", dtype="float32")
    cast = load_model(release, device="cpu", dtype="bfloat16")
    for (name, weight), (_, expected) in zip(
        cast.named_parameters(), exact.named_parameters(), strict=True
    ):
        assert torch.equal(weight, expected.to(weight.dtype)), name


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


def test_a_head_in_neither_of_them(tmp_path: Path) -> None:
    adapter = make_adapter(tmp_path, make_base(tmp_path), saved=None)
    with pytest.raises(ReleaseError, match=r'score\.weight.*modules_to_save=\["score"\]'):
        scores(adapter)


def change(adapter: Path, **entries: object) -> None:
    file = adapter / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | entries))


def pickle_weights(adapter: Path) -> None:
    (adapter / "adapter_model.safetensors").rename(adapter / "adapter_model.bin")


def drop_base(adapter: Path) -> None:
    change(adapter, base_model_name_or_path="/no/such/base")


def drop_a_matrix(adapter: Path) -> None:
    file = adapter / "adapter_model.safetensors"
    weights = load_file(file)
    weights.pop(next(name for name in weights if "lora_B" in name))
    save_file(weights, file)


def add_a_stranger(adapter: Path) -> None:
    file = adapter / "adapter_model.safetensors"
    save_file(load_file(file) | {"base_model.model.odd.lora_A.weight": torch.ones(1)}, file)


def widen_the_head(adapter: Path) -> None:
    file = adapter / "adapter_model.safetensors"
    weights = load_file(file)
    name = next(name for name in weights if "score" in name)
    save_file(weights | {name: weights[name].repeat(2, 1)}, file)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (pickle_weights, "pickled weights are never loaded"),
        (drop_base, "its base is not available: /no/such/base: no such directory"),
        (lambda path: change(path, peft_type="IA3"), "peft_type.*only LoRA adapters"),
        (lambda path: change(path, base_model_name_or_path=None), "base_model_name_or_path"),
        (lambda path: (path / "adapter_config.json").write_text("{"), "cannot be read as JSON"),
        (
            lambda path: (path / "adapter_model.safetensors").write_text("x"),
            r"adapter_model\.safetensors: cannot be read",
        ),
        (drop_a_matrix, "the adapter holds no .*lora_B"),
        (add_a_stranger, "the base has no place for .*odd"),
        (widen_the_head, "does not fit its base.*size mismatch"),
        (lambda path: change(path, base_model_name_or_path="."), "is an adapter too"),
    ],
)
def test_what_cannot_be_served_says_why(
    tmp_path: Path, spoil: Callable[[Path], object], message: str
) -> None:
    adapter = make_adapter(tmp_path, make_base(tmp_path), saved=["score"])
    spoil(adapter)
    with pytest.raises(ReleaseError, match=f"(?s){message}"):
        scores(adapter)


def test_a_base_that_the_hub_does_not_give(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    adapter = make_adapter(tmp_path, make_base(tmp_path), saved=["score"])
    change(adapter, base_model_name_or_path="nobody/nothing")
    with pytest.raises(ReleaseError, match=r"nobody/nothing: .*the hub does not give it"):
        open_checkpoint(adapter)
