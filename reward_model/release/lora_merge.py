"""Merges LoRA weights into the weights of their base, in float32, before anything is cast."""

from pathlib import Path

from peft import PeftConfig, PeftModel, set_peft_model_state_dict
from safetensors.torch import load_file
from torch import Tensor
from transformers import PreTrainedModel

from reward_model.release.lora import WEIGHTS
from reward_model.release.release import ReleaseError

_PREFIX = "base_model.model."


def merge(base: PreTrainedModel, adapter: Path, missing: set[str]) -> PreTrainedModel:
    """Merge the adapter into the base and return the result, which is a plain model again.

    Args:
        base: in float32.
        adapter: directory of a LoRA adapter.
        missing: names of the base's weights that its checkpoint does not hold.

    Raises:
        ReleaseError: adapter and base do not fit, or a weight is in neither of them.
    """
    try:
        weights = load_file(adapter / WEIGHTS)
    except Exception as error:  # whatever a damaged file makes the loader raise
        raise ReleaseError(
            f"{adapter / WEIGHTS}: cannot be read; copy the adapter again"
        ) from error
    # Weights that the adapter replaces as a whole, usually those of the score head.
    replaced = {name.removeprefix(_PREFIX) for name in weights if "lora_" not in name}
    if absent := missing - replaced:
        modules = ", ".join(f'"{module}"' for module in modules_of(absent))
        raise ReleaseError(
            f"{adapter}: neither it nor its base holds {', '.join(sorted(absent))}, which would "
            f"be random; train the adapter with modules_to_save=[{modules}]"
        )
    try:
        return _merge_weights(base, adapter, weights, modules_of(replaced))
    except Exception as error:  # whatever weights of other shapes or places make PEFT raise
        reason = f"{type(error).__name__}: {error}"
        raise ReleaseError(f"{adapter}: does not fit its base: {reason}") from error


def _merge_weights(
    base: PreTrainedModel, adapter: Path, weights: dict[str, Tensor], replaced: list[str]
) -> PreTrainedModel:
    config = PeftConfig.from_pretrained(str(adapter))
    config.inference_mode = True
    # Older PEFT did not list all modules that an adapter file holds as a whole.
    config.modules_to_save = replaced or None
    model = PeftModel(base, config)
    report: object = set_peft_model_state_dict(model, weights)
    assert isinstance(report, tuple)
    # PEFT only warns of either kind. A weight without a place would be ignored, and a weight that
    # is absent would be as if it had not been trained.
    missing, unexpected = report
    if unexpected:
        raise ValueError(f"the base has no place for {unexpected[0]}")
    if absent := [key for key in missing if "lora_" in key or ".modules_to_save." in key]:
        raise ValueError(f"the adapter holds no {absent[0]}")
    merged = model.merge_and_unload(safe_merge=True)
    assert isinstance(merged, PreTrainedModel)
    return merged


def modules_of(weights: set[str]) -> list[str]:
    """Names of the modules that hold these weights."""
    return sorted({name.rpartition(".")[0] for name in weights})
