"""Reads a checkpoint's `config.json` as transformers reads it, and refuses what must not be served.

Facts come from transformers' own class of the config, because what an entry defaults to is the
class's business: many configs leave out the longest text or the pad token.
"""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue
from transformers import AutoConfig, PreTrainedConfig
from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES

from reward_model.release.files import ReleaseError, read_bytes

# Numbers that must be positive, wherever in the config they are.
_POSITIVE = frozenset(
    {
        *("max_position_embeddings", "n_positions", "original_max_position_embeddings"),
        *("vocab_size", "hidden_size", "rope_theta", "rope_local_base_freq", "factor"),
        *("rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon", "norm_eps"),
    }
)

# Names under which configs keep the longest text, the usual one first.
_LENGTHS = ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "max_seq_length")

# Architectures that add a vector for each token's segment, whose number no config entry says.
_OWN_SEGMENTS = frozenset({"xlnet", "xlm", "flaubert", "tapas"})


@dataclass(frozen=True, slots=True)
class ConfigFacts:
    """The facts that a config states of its model.

    Attributes:
        dtype: float32, bfloat16 or float16, in which the weights are stored.
        max_tokens: the longest text; None where the config does not say.
        pad_id: the score is read at the last token that differs from it.
        labels: the number of scores; 0 for a language model, which has no score head.
        label_names: their names by `id2label`, in the order of the head's outputs.
        bidirectional: whether the model is an encoder, which reads a prompt and its answer as the
            tokenizer's own pair unless a chat template joins them.
        embeddings: rows of the embedding; a token with a larger id has none.
        segments: how many segments, which are told apart by token types, the model knows.
    """

    dtype: str
    max_tokens: int | None
    pad_id: int | None
    labels: int
    label_names: tuple[str, ...]
    bidirectional: bool
    segments: int
    embeddings: int | None


def read_config(folder: Path) -> PreTrainedConfig:
    """Read the config of a checkpoint, without the entries that would fetch or replace code.

    Raises:
        ReleaseError: there is none, transformers does not know it, or its model cannot be served.
    """
    file = folder / "config.json"
    if not file.exists():
        raise ReleaseError(f"{file}: missing; this is no Hugging Face checkpoint")
    try:
        raw = json.loads(read_bytes(file))
    except ValueError as error:
        raise ReleaseError(f"{file}: is not JSON; copy the checkpoint again") from error
    if not isinstance(raw, dict):
        raise ReleaseError(f"{file}: is not a JSON object; copy the checkpoint again")
    _require_servable(file, raw)
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        assert isinstance(config, PreTrainedConfig)
    except Exception as error:  # whatever an odd entry makes the classes raise
        if raw.get("auto_map"):
            raise ReleaseError(
                f"{file}: its architecture exists only as code beside the weights, which is never "
                "run; serve a checkpoint of an architecture that transformers knows"
            ) from error
        reason = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
        raise ReleaseError(f"{file}: transformers cannot read it: {reason}") from error
    # These entries choose how to compute, and may name kernels that transformers would download.
    # The setters reach nested configs, too.
    config._attn_implementation = None
    config._experts_implementation = None
    for entry in ("fusion_config", "auto_map"):
        if hasattr(config, entry):
            delattr(config, entry)
    return config


def _require_servable(file: Path, raw: dict[str, JsonValue]) -> None:
    for name, value in _numbers(raw):
        if math.isnan(value):
            raise ReleaseError(f"{file}: {name} is not a number; copy the checkpoint again")
        if name in _POSITIVE and not 0 < value < math.inf:
            raise ReleaseError(
                f"{file}: {name} is {value}, and no model works with that; correct it"
            )
    if (kind := raw.get("model_type")) in _OWN_SEGMENTS:
        raise ReleaseError(
            f"{file}: {kind} is fed with token types that are not known here, so its scores would "
            "be others than its own; serve another architecture"
        )
    if raw.get("transformers_weights") is not None:
        raise ReleaseError(
            f"{file}: names its weights in transformers_weights; call them model.safetensors and "
            "remove that entry"
        )


def facts_of(config: PreTrainedConfig) -> ConfigFacts:
    """Return the facts that are needed to serve a model of this config."""
    text = config.get_text_config()
    stored = str(config.dtype or text.dtype).removeprefix("torch.")
    masked = text.model_type in MODEL_FOR_MASKED_LM_MAPPING_NAMES and not config.is_encoder_decoder
    language_model = any("ForCausalLM" in name for name in config.architectures or ())
    segments = getattr(text, "type_vocab_size", None)
    pad_id = getattr(text, "pad_token_id", None)
    rows = getattr(text, "vocab_size", None)
    # Two labels are the default of every config, a language model's too.
    labels = 0 if language_model and config.num_labels == 2 else config.num_labels or 0
    names = {int(label): str(name) for label, name in (config.id2label or {}).items()}
    return ConfigFacts(
        dtype=stored if stored in ("float16", "bfloat16") else "float32",
        max_tokens=_longest(text),
        pad_id=pad_id if isinstance(pad_id, int) else None,
        labels=labels,
        label_names=tuple(names.get(label, f"LABEL_{label}") for label in range(labels)),
        bidirectional=masked and not getattr(text, "is_decoder", False),
        segments=segments if isinstance(segments, int) else 0,
        embeddings=rows if isinstance(rows, int) else None,
    )


def _longest(text: PreTrainedConfig) -> int | None:
    """The longest text of a config of a language model; None where it does not say."""
    values = (getattr(text, name, None) for name in _LENGTHS)
    length = next((value for value in values if isinstance(value, int) and value > 0), None)
    if length is None:
        return None
    rope = getattr(text, "rope_parameters", None) or {}
    # Parameters may be nested by the type of layer.
    for parameters in (rope, *rope.values()):
        if isinstance(parameters, dict) and parameters.get("rope_type") == "yarn":
            # YaRN stretches the original length. Whether the config counts the stretched one or
            # the original one as its longest text differs from model to model.
            original = parameters.get("original_max_position_embeddings") or length
            length = max(length, int(original * (parameters.get("factor") or 1)))
    return length


def _numbers(value: JsonValue, name: str = "an entry") -> Iterator[tuple[str, float]]:
    """Yield every number of a config with the name of its entry."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _numbers(inner, key)
    elif isinstance(value, list):
        for inner in value:
            yield from _numbers(inner, name)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield name, value
