"""LoRA weights into the weights of their base, in float32, before anything is cast or packed."""

from pathlib import Path

from peft import PeftConfig, PeftModel, set_peft_model_state_dict
from safetensors.torch import load_file
from torch import Tensor
from transformers import PreTrainedModel

from reward_model.release.lora import WEIGHTS
from reward_model.release.release import ReleaseError

_PREFIX = "base_model.model."


def merge(base: PreTrainedModel, adapter: Path, missing: set[str]) -> PreTrainedModel:
    """The base with the adapter in it, a plain model again.

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
    whole = {name.removeprefix(_PREFIX) for name in weights if "lora_" not in name}
    _require_all(adapter, missing - whole)
    try:
        return _merged(base, adapter, weights, sorted({_module(name) for name in whole}))
    except Exception as error:  # whatever weights of other shapes or places make PEFT raise
        reason = f"{type(error).__name__}: {error}"
        raise ReleaseError(f"{adapter}: does not fit its base: {reason}") from error


def _merged(
    base: PreTrainedModel, adapter: Path, weights: dict[str, Tensor], whole: list[str]
) -> PreTrainedModel:
    """`whole` are the modules that the file holds whole; older PEFT did not list them all."""
    config = PeftConfig.from_pretrained(str(adapter))
    config.inference_mode = True
    config.modules_to_save = whole or None
    model = PeftModel(base, config)
    report: object = set_peft_model_state_dict(model, weights)
    assert isinstance(report, tuple)
    missing, unexpected = report
    _require_match(unexpected, [key for key in missing if _is_ours(key)])
    merged = model.merge_and_unload(safe_merge=True)
    assert isinstance(merged, PreTrainedModel)
    return merged


def _require_match(unexpected: list[str], absent: list[str]) -> None:
    """PEFT itself only warns, and what is absent would be as if it had not been trained."""
    if unexpected:
        raise ValueError(f"the base has no place for {unexpected[0]}")
    if absent:
        raise ValueError(f"the adapter holds no {absent[0]}")


def _require_all(adapter: Path, missing: set[str]) -> None:
    if missing:
        modules = ", ".join(f'"{module}"' for module in sorted({_module(name) for name in missing}))
        raise ReleaseError(
            f"{adapter}: neither it nor its base holds {', '.join(sorted(missing))}, which would "
            f"be random; train the adapter with modules_to_save=[{modules}]"
        )


def _is_ours(key: str) -> bool:
    return "lora_" in key or ".modules_to_save." in key


def _module(name: str) -> str:
    return name.rpartition(".")[0]
