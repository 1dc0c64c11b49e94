"""A checkpoint's weights and tokenizer, loaded by transformers and checked."""

import logging
from hashlib import sha256

import torch
from torch import Tensor, nn
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from reward_model.release.config import read_config
from reward_model.release.lora_merge import merge
from reward_model.release.release import Release, ReleaseError
from reward_model.release.weight_names import (
    common_prefix,
    dropped_weights,
    require_shapes,
    require_whole,
    some,
)
from reward_model.text.chat import Message, Unencodable, render
from reward_model.text.tokenizing import is_panic

_TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model")

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def load_model(release: Release, *, device: str = "cpu", dtype: str = "float32") -> PreTrainedModel:
    """Load the model as `load_weights` does, without its warnings."""
    return load_weights(release, device=device, dtype=dtype)[0]


def load_weights(
    release: Release, *, device: str = "cpu", dtype: str = "float32"
) -> tuple[PreTrainedModel, tuple[str, ...]]:
    """Load the sequence-classification model, its backbone in `dtype` and its head in float32.

    Only safetensors of the folder are read.

    Returns:
        The model, and warnings of weights that it has no place for.

    Raises:
        ReleaseError: transformers cannot load the checkpoint, or its weights do not fit the config.
    """
    config = read_config(release.config_folder)
    if getattr(config, "quantization_config", None):
        raise ReleaseError(
            f"{release.path / 'config.json'}: its weights are quantized, which this engine does "
            "not compute with; choose --engine vllm, or serve the weights that were quantized"
        )
    if release.adapter and not release.is_self_contained:
        # The base of an adapter may be a language model, which has no labels yet.
        config.num_labels = 1
    # Weights that the base lacks come from the adapter; those in neither are refused below. The
    # library's table of them would alarm whoever reads the log.
    library = logging.getLogger("transformers.modeling_utils")
    level = library.level
    if release.adapter:
        library.setLevel(logging.ERROR)
    try:
        model, report = AutoModelForSequenceClassification.from_pretrained(
            release.path,
            config=config,
            dtype=torch.float32,
            trust_remote_code=False,
            use_safetensors=True,
            output_loading_info=True,
            # Reported and refused below, in a sentence.
            ignore_mismatched_sizes=True,
        )
    except Exception as error:  # whatever a damaged file makes the loaders raise
        reason = f"{type(error).__name__}: {error}"
        raise ReleaseError(f"{release.path}: transformers cannot load it: {reason}") from error
    finally:
        library.setLevel(level)
    assert isinstance(model, PreTrainedModel)
    missing, unexpected = set(report["missing_keys"]), set(report["unexpected_keys"])
    require_shapes(release.path, report["mismatched_keys"])
    if release.adapter and not common_prefix(missing, unexpected):
        model = merge(model, release.adapter, missing)
    else:
        require_whole(release.path, missing, unexpected)
    dropped = dropped_weights(unexpected)
    set_dtype(model, dtype)
    nn.Module.to(model, device=device)
    return model, (dropped,) if dropped else ()


def set_dtype(model: PreTrainedModel, dtype: str) -> None:
    """Put the backbone of a float32 model into `dtype`, and keep its head in float32."""
    # Parameters only: buffers stay in float32, as transformers keeps them. Rotary frequencies
    # rounded to bfloat16 are a radian off after a thousand tokens.
    heads = _heads(model)
    kept = {id(parameter) for head in heads for parameter in head.parameters()}
    for parameter in model.base_model.parameters():
        if id(parameter) not in kept:
            parameter.data = parameter.data.to(_DTYPES[dtype])

    # A head in bfloat16 would tie close candidates.
    def inputs_to_float32(_module: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return tuple(argument.float() for argument in args)

    for head in heads:
        head.register_forward_pre_hook(inputs_to_float32)


def load_tokenizer(release: Release) -> PreTrainedTokenizerBase:
    """Load the checkpoint's fast tokenizer, with the release's chat template if it names one.

    An adapter's own tokenizer takes precedence over that of its base. An encoder needs no chat
    template where its tokenizer joins a prompt and its answer to a pair.

    Raises:
        ReleaseError: there is none, it is not a fast one, or it has no chat template that works.
    """
    # Without any of these files transformers 5 makes up an empty tokenizer instead of failing.
    folders = [release.config_folder]
    if release.adapter and not release.is_self_contained:
        folders.insert(0, release.adapter)
    path = next((f for f in folders if any((f / n).exists() for n in _TOKENIZER_FILES)), None)
    if path is None:
        raise ReleaseError(
            f"{folders[-1] / 'tokenizer.json'}: missing; put the tokenizer beside the weights"
        )
    try:
        tokenizer = AutoTokenizer.from_pretrained(path, trust_remote_code=False)
    except BaseException as error:  # whatever a damaged file makes the loaders raise, in Rust too
        if not isinstance(error, Exception) and not is_panic(error):
            raise
        reason = f"{type(error).__name__}: {error}"
        raise ReleaseError(
            f"{path}: its tokenizer does not load ({reason}); save it again with the weights"
        ) from error
    assert isinstance(tokenizer, PreTrainedTokenizerBase)
    if not tokenizer.is_fast:
        raise ReleaseError(f"{path}: needs tokenizer.json, the fast tokenizer's file")
    if release.sets_max_tokens:
        tokenizer.model_max_length = release.max_tokens
    if release.chat_template is not None:
        tokenizer.chat_template = release.chat_template
    template: object = tokenizer.chat_template
    if not template:
        if release.bidirectional and tokenizer.backend_tokenizer.num_special_tokens_to_add(True):
            return tokenizer
        raise ReleaseError(
            f"{path}: the tokenizer has no chat template; name a template file with --chat-template"
        )
    if isinstance(template, dict) and "default" not in template:
        raise ReleaseError(
            f"{path}: none of the tokenizer's chat templates ({some(template)}) is the default; "
            "name the file of one with --chat-template"
        )
    require_facts(release, tokenizer)
    try:
        render(tokenizer, (Message("user", "x"), Message("assistant", "x")))
    except Exception as error:  # whatever a template makes Jinja and Python raise
        reason = str(error) if isinstance(error, Unencodable) else type(error).__name__
        raise ReleaseError(
            f"{release.folder}: its chat template renders no conversation at all: {reason}"
        ) from error
    return tokenizer


def require_facts(release: Release, tokenizer: PreTrainedTokenizerBase) -> None:
    """Compare a loaded tokenizer with what the release recorded of its own.

    transformers may replace a saved tokenizer by one of its own, and the ids would differ.

    Raises:
        ReleaseError: they differ.
    """
    if release.encoding is None:
        return
    template = tokenizer.chat_template
    assert isinstance(template, str)
    found = release.encoding.model_copy(
        update={
            "chat_template_sha256": sha256(template.encode()).hexdigest(),
            "bos_token": tokenizer.bos_token,
            "eos_token": tokenizer.eos_token,
            "pad_token": tokenizer.pad_token,
        }
    )
    for name, expected in release.encoding:
        if getattr(found, name) != expected:
            raise ReleaseError(
                f"{release.folder}: its tokenizer loads with another {name} than release.json has; "
                "install the transformers version of constraints.txt, or publish again"
            )


def backbone_dtype(model: PreTrainedModel) -> torch.dtype:
    """The dtype of the backbone's weights."""
    # `model.dtype` is that of the first weight, which in RoBERTa and its relatives is the head's.
    return next(parameter.dtype for parameter in model.base_model.parameters())


def _heads(model: PreTrainedModel) -> list[nn.Module]:
    """The modules that work on whole texts rather than on tokens."""
    heads = [child for child in model.children() if child is not model.base_model]
    # BERT keeps its pooler inside the backbone.
    pooler = getattr(model.base_model, "pooler", None)
    return [*heads, pooler] if isinstance(pooler, nn.Module) else heads
