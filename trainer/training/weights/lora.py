"""Adapters on a network's linear layers, by PEFT, and their merge into a plain network."""

import warnings
from dataclasses import replace

from peft import LoraConfig, PeftModel, get_peft_model, prepare_model_for_kbit_training
from torch import Tensor
from transformers import PreTrainedModel

from trainer.pipeline.stage import StageError
from trainer.training.config import LoraAdapters


def add_adapters(
    model: PreTrainedModel, lora: LoraAdapters, trained: tuple[str, ...] = ("score",)
) -> PeftModel:
    """Put adapters into `model`, in place: they and a copy of the score head are trained.

    Args:
        trained: layers that are trained whole besides those of `lora`; a policy has none.
    """
    if lora.load_in_4bit:
        prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
    config = LoraConfig(
        r=lora.r,
        lora_alpha=lora.lora_alpha,
        lora_dropout=lora.lora_dropout,
        target_modules=(
            lora.target_modules
            if isinstance(lora.target_modules, str)
            else list(lora.target_modules)
        ),
        exclude_modules=["score"] if "score" in trained else ["lm_head", "embed_out"],
        # Otherwise PEFT would freeze the head.
        modules_to_save=[*trained, *lora.modules_to_save] or None,
    )
    with warnings.catch_warnings():  # PEFT 0.21 asks by a name that transformers 5.23 deprecates
        warnings.filterwarnings("ignore", ".*is_gradient_checkpointing.*", FutureWarning)
        # GPT-2 stores its matrices the other way round, which PEFT finds out by itself.
        warnings.filterwarnings("ignore", ".*fan_in_fan_out is set to False.*", UserWarning)
        try:
            adapted = get_peft_model(model, config)
        except ValueError as error:  # of names that fit no layer
            raise StageError(
                f"target_modules {lora.target_modules} and modules_to_save {lora.modules_to_save} "
                f"do not fit the network: {error}"
            ) from error
    assert isinstance(adapted, PeftModel)
    return adapted


def merged(
    model: PreTrainedModel,
    lora: LoraAdapters,
    state: dict[str, Tensor],
    prefix: str,
    trained: tuple[str, ...] = ("score",),
) -> PreTrainedModel:
    """`model`, the start's own weights, with trained adapters and head merged into it.

    Args:
        state: weights of the trained network; only the adapters and the head are read.
        prefix: prefix of the network's names in `state`.
        trained: as `add_adapters` had it.
    """
    adapted = add_adapters(model, replace(lora, load_in_4bit=False), trained)
    weights = {
        name.removeprefix(prefix): tensor
        for name, tensor in state.items()
        if "lora_" in name or ".modules_to_save." in name
    }
    wanted = {n for n, parameter in model.named_parameters() if parameter.requires_grad}
    assert weights.keys() == wanted, "the trained network is another one"
    model.load_state_dict(weights, strict=False)
    try:
        plain = adapted.merge_and_unload(safe_merge=True)
    except ValueError as error:
        raise StageError(
            "the weights with their adapters are not all numbers: start from whole weights, or "
            "lower learning_rate"
        ) from error
    assert isinstance(plain, PreTrainedModel)
    return plain
