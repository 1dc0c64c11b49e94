"""Tries before the first step what comes after the last one: merge, export, and opening the result.

A run of hours should not end in an error that was there at its beginning.
"""

import math
import shutil
import time
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn
from transformers import PreTrainedTokenizerBase

from reward_model.release.checkpoint import load_model, load_tokenizer
from reward_model.release.release import Release, ReleaseError, open_release
from reward_model.text.chat import Conversation, Message
from reward_model.text.encoding import Encoder
from trainer.pipeline.stage import StageError
from trainer.training.config import LoopConfig, TrainConfig
from trainer.training.objective.joint import JointModel
from trainer.training.weights.export import export
from trainer.training.weights.start import Start

# A larger network would be written, and for adapters also loaded, for minutes. Of it the config,
# the tokenizer and the head are tried.
_MAX_PARAMETERS = 1_000_000_000

# Letters, white space and a special token's spelling, on which tokenizers differ.
_SAMPLE: Conversation = (
    Message("user", "Write `add(a, b)` for 12 Ünïcødé items.\n\n  <|end|>"),
    Message("assistant", "def add(a, b):\n    return a + b  # 3.14\n"),
)


def rehearse(
    config: TrainConfig, folder: Path, start: Start, model: JointModel, output: Path
) -> None:
    """Export the untrained network into a scratch folder, open it as a release, and score a text.

    Args:
        folder: checkpoint that training starts from.
        model: the untrained network, with its adapters if there are any.
        output: folder of the stage, beside which the scratch folder is.

    Raises:
        StageError: the end of this run would fail; the message says why.
    """
    began = time.monotonic()
    require_space(space_needed(config, model), shutil.disk_usage(output.parent).free, output.parent)
    scratch = output.with_name(f".{output.name}.rehearsal")
    shutil.rmtree(scratch, ignore_errors=True)
    whole = sum(weight.numel() for weight in model.parameters()) <= _MAX_PARAMETERS
    try:
        scratch.mkdir(parents=True)
        if whole:
            export(config, folder, start, model.state_dict(), scratch)
        else:
            start.model.config.save_pretrained(scratch)
            start.tokenizer.save_pretrained(scratch)
            save_file({"score.weight": model.head.weight.detach()}, scratch / "model.safetensors")
        release = open_release(scratch)
        ids = require_same_ids(start.tokenizer, load_tokenizer(release))
        if whole:
            require_score(release, ids)
    except ReleaseError as error:
        raise StageError(f"the trained checkpoint could not be served: {error}") from error
    except OSError as error:
        raise StageError(
            f"{output.parent}: a checkpoint cannot be written there ({error.strerror or error}): "
            "name another work folder, or change its permissions"
        ) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    tried = "merge, export and loading were" if whole else "config and tokenizer were"
    print(f"{output.name}: {tried} tried in {time.monotonic() - began:.1f} s", flush=True)


def space_needed(config: LoopConfig, model: nn.Module) -> int:
    """Bytes of checkpoints, last weights, the exported checkpoint and its release, at most."""
    trained = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    exported = 2 * sum(weight.numel() for weight in model.parameters())
    # A new checkpoint is written before the oldest one is deleted: float32 weights, and two states
    # of the optimizer.
    kept = config.save_total_limit + 1 if config.save_steps else 0
    return 2 * exported + 4 * trained + kept * 12 * trained


def require_space(needed: int, free: int, folder: Path) -> None:
    """Raises StageError when the disk would be full before the run has ended."""
    if free < needed:
        raise StageError(
            f"{folder}: {free / 1e9:.1f} GB are free, and this run writes up to "
            f"{needed / 1e9:.1f} GB: free some, lower save_total_limit, or name another work folder"
        )


def require_same_ids(
    trained: PreTrainedTokenizerBase, loaded: PreTrainedTokenizerBase
) -> tuple[int, ...]:
    """Ids of a sample text, which the saved tokenizer must encode as the one that trains.

    Raises:
        StageError: it encodes it otherwise, or pads with another token.
    """
    before, after = (
        Encoder(each, max_tokens=100_000, pad_id=None).encode(_SAMPLE).ids
        for each in (trained, loaded)
    )
    pads = trained.pad_token_id, loaded.pad_token_id
    # For some architectures transformers replaces a saved tokenizer by one of its own.
    if before != after or pads[0] != pads[1]:
        raise StageError(
            "the tokenizer loads as another one after it was saved: start from a checkpoint that "
            "a current transformers has saved"
        )
    return before


def require_score(release: Release, ids: tuple[int, ...]) -> None:
    """Raises StageError when the exported network gives the sample text no finite score."""
    model = load_model(release).eval()
    cut = ids[-release.max_tokens :]
    with torch.inference_mode():
        score = float(model(input_ids=torch.tensor([cut])).logits[0, 0])
    if not math.isfinite(score):
        raise StageError(
            f"the untrained network gives a text the score {score}: start from whole weights"
        )
