"""Bases and adapters as PEFT makes them, and the scores that they must have."""

import json
from pathlib import Path

import torch
from peft import PeftModel, get_peft_config, get_peft_model
from transformers import (
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    PreTrainedModel,
)

from reward_model.network import RewardNetwork
from reward_model.packing import Sequence
from reward_model.release.lora import open_checkpoint
from tests.checkpoints import make_checkpoint

TEXTS = [tuple(range(7, 7 + length)) for length in (1, 9, 40)]


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


def change(adapter: Path, **entries: object) -> None:
    file = adapter / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | entries))
