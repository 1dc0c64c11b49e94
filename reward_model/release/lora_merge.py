"""Merges LoRA weights into the weights of their base, in float32, before anything is cast."""

import warnings
from pathlib import Path

from peft import PeftConfig, PeftModel, set_peft_model_state_dict
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import PreTrainedModel

from reward_model.release.files import ADAPTER_WEIGHTS
from reward_model.release.lora import is_plain
from reward_model.release.release import ReleaseError
from reward_model.release.weight_names import some

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
        weights = load_file(adapter / ADAPTER_WEIGHTS)
    except Exception as error:  # whatever a damaged file makes the loader raise
        raise ReleaseError(
            f"{adapter / ADAPTER_WEIGHTS}: cannot be read; copy the adapter again"
        ) from error
    # Weights that the adapter replaces as a whole, usually those of the score head.
    replaced = {name.removeprefix(_PREFIX) for name in weights if "lora_" not in name}
    if absent := missing - replaced:
        modules = ", ".join(f'"{module}"' for module in modules_of(absent)[:3])
        raise ReleaseError(
            f"{adapter}: neither it nor its base holds {some(absent)}, which would be random; "
            f"train the adapter with modules_to_save=[{modules}]"
        )
    # PEFT takes names of modules as regular expressions, these too.
    if odd := [module for module in modules_of(replaced) if not is_plain(module)]:
        raise ReleaseError(
            f"{adapter / ADAPTER_WEIGHTS}: holds weights of {odd[0]!r}, which is no module"
        )
    fit_vocabulary(base, adapter, weights)
    try:
        return _merge_weights(base, adapter, weights, modules_of(replaced))
    except Exception as error:  # whatever weights of other shapes or places make PEFT raise
        reason = f"{type(error).__name__}: {error}"
        raise ReleaseError(f"{adapter}: does not fit its base: {reason}") from error


def fit_vocabulary(base: PreTrainedModel, adapter: Path, weights: dict[str, Tensor]) -> None:
    """Resize the base's embedding to the rows that the adapter was saved with.

    Raises:
        ReleaseError: the adapter was trained on a larger vocabulary, and does not hold its rows.
    """
    embedding = base.get_input_embeddings()
    (name,) = (name for name, module in base.named_modules() if module is embedding)
    assert isinstance(embedding, nn.Embedding)
    rows = embedding.num_embeddings
    for saved, weight in weights.items():
        module, _, kind = saved.removeprefix(_PREFIX).removeprefix(f"{name}.").rpartition(".")
        if not saved.startswith(f"{_PREFIX}{name}."):
            continue
        if kind == "lora_embedding_A" and weight.shape[1] != rows:
            raise ReleaseError(
                f"{adapter}: was trained on a vocabulary of {weight.shape[1]} tokens, its base has "
                f"{rows}, and it does not hold the rows of the new tokens; merge it first, with "
                "merge_and_unload where it was trained, and serve the result"
            )
        if kind == "weight" and not module and weight.shape[0] != rows:
            base.resize_token_embeddings(weight.shape[0], mean_resizing=False)


def _merge_weights(
    base: PreTrainedModel, adapter: Path, weights: dict[str, Tensor], replaced: list[str]
) -> PreTrainedModel:
    config = PeftConfig.from_pretrained(str(adapter))
    config.inference_mode = True
    # Older PEFT did not list all modules that an adapter file holds as a whole.
    config.modules_to_save = replaced or None
    with warnings.catch_warnings():  # PEFT 0.21 asks by a name that transformers 5.23 deprecates
        warnings.filterwarnings("ignore", ".*is_gradient_checkpointing.*", FutureWarning)
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
