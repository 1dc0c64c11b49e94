"""The policy that training starts from, or that is a reference: a causal language model."""

from collections.abc import Sequence as Items
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from transformers import AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerBase

from reward_model.release.config import facts_of
from reward_model.text.encoding import Encoder
from trainer.pipeline.stage import StageError
from trainer.policy.encoded import PolicyEncoder
from trainer.training.weights.start import (
    four_bit_options,
    load_packed,
    load_tokenizer,
    longest,
)


@dataclass(frozen=True)
class PolicyStart:
    """A causal language model that attends over packed trees, with its tokenizer.

    Attributes:
        encoder: encodes rows for it.
        max_length: tokens of a prompt with its answer that it takes.
    """

    network: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    encoder: PolicyEncoder
    max_length: int


def load_policy(
    folder: Path,
    *,
    dtype: torch.dtype = torch.float32,
    max_length: int | None = None,
    end_token: str | None = None,
    load_in_4bit: bool = False,
) -> PolicyStart:
    """Load a policy.

    Args:
        max_length: tokens of a prompt with its answer; None is what model and tokenizer take.
        end_token: token that ends an answer, in place of the tokenizer's own.

    Raises:
        StageError: it is no causal language model, or cannot be packed.
    """
    tokenizer, _ = load_tokenizer(folder, end_token)
    options = four_bit_options("lm_head") if load_in_4bit else {}
    network, report = load_packed(folder, AutoModelForCausalLM, dtype=dtype, **options)
    if any(name.startswith("score.") for name in report["unexpected_keys"]):
        raise StageError(f"{folder} is a reward model: start from a causal language model")
    if missing := sorted(report["missing_keys"]):
        raise StageError(f"{folder}: its weights hold no {missing[0]}: name a whole checkpoint")
    end_id = tokenizer.eos_token_id
    if not isinstance(end_id, int):
        raise StageError(f"{folder}: its tokenizer has no token that ends a text: name end_token")
    weight = network.get_input_embeddings().weight
    assert isinstance(weight, torch.Tensor)
    # Prompts are longer than no limit: what does not fit is counted with its answers.
    encoder = Encoder(tokenizer, max_tokens=2**31 - 1, pad_id=None)
    return PolicyStart(
        network,
        tokenizer,
        PolicyEncoder(encoder, end_id, len(weight)),
        longest(tokenizer, facts_of(network.config).max_tokens, max_length),
    )


def stored_dtypes(folder: Path) -> dict[str, torch.dtype]:
    """The dtype of each weight in a checkpoint's files."""
    found = {}
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, framework="pt") as weights:
            for name in weights.keys():  # noqa: SIM118 - not a mapping
                found[name] = _DTYPES[weights.get_slice(name).get_dtype()]
    return found


def main_dtype(dtypes: Items[torch.dtype]) -> torch.dtype:
    """The dtype that most weights have."""
    return max(set(dtypes), key=dtypes.count)


_DTYPES = {"F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16}
