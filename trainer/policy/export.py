"""A trained policy -> a plain checkpoint of transformers', which vLLM loads as it loads the start.

Adapters are merged, every weight has the dtype that it has in the start, and the tokenizer's files
and the generation config are the start's own, byte for byte.
"""

import json
import shutil
import time
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, GenerationConfig, PreTrainedModel

from trainer.pipeline.stage import StageError
from trainer.policy.start import PolicyStart, load_policy, main_dtype, stored_dtypes
from trainer.training.config import LoopConfig
from trainer.training.weights.lora import merged
from trainer.training.weights.rehearsal import require_space, space_needed

# Prefix of the network's names among a `PolicyModel`'s.
_NETWORK = "network."

_KEPT = (
    *("tokenizer*", "special_tokens_map.json", "added_tokens.json", "chat_template*"),
    *("vocab.json", "merges.txt", "vocab.txt", "*.model", "generation_config.json"),
)

# A larger network would be written, and for adapters also loaded, for minutes.
_MAX_PARAMETERS = 1_000_000_000


def export_policy(
    config: LoopConfig, folder: Path, start: PolicyStart, state: dict[str, Tensor], output: Path
) -> None:
    """Write the checkpoint.

    Args:
        folder: checkpoint that training started from; adapters are merged into its weights.
        state: all weights of the trained `PolicyModel`; under LoRA those of its adapters.
    """
    if config.lora:
        network = merged(load_policy(folder).network, config.lora, state, _NETWORK, trained=())
        weights = network.state_dict()
    else:
        network = start.network
        names = (name for name in state if name.startswith(_NETWORK))
        weights = {name.removeprefix(_NETWORK): state[name] for name in names}
    stored = stored_dtypes(folder)
    usual = main_dtype(list(stored.values()))
    tied = _tied_head(network)
    written = {
        name: weight.to(stored.get(name, usual)).contiguous()
        for name, weight in weights.items()
        if name != tied
    }
    # The start's own may hold what transformers no longer saves; it is copied below.
    network.generation_config = GenerationConfig()
    network.save_pretrained(output, state_dict=written)
    (output / "generation_config.json").unlink(missing_ok=True)
    for pattern in _KEPT:
        for file in folder.glob(pattern):
            shutil.copyfile(file, output / file.name)
    settings = json.loads((output / "config.json").read_text())
    settings["dtype"] = str(usual).removeprefix("torch.")
    (output / "config.json").write_text(json.dumps(settings, indent=2) + "\n")


def _tied_head(network: PreTrainedModel) -> str | None:
    """Name of the output embedding's weight where it is the input's, which files hold once."""
    if not network.config.tie_word_embeddings:
        return None
    head = network.get_output_embeddings()
    return next(f"{name}.weight" for name, module in network.named_modules() if module is head)


def rehearse_policy(
    config: LoopConfig, folder: Path, start: PolicyStart, model: nn.Module, output: Path
) -> None:
    """Export the untrained policy into a scratch folder and load it, before the first step.

    Raises:
        StageError: the end of this run would fail; the message says why.
    """
    began = time.monotonic()
    require_space(space_needed(config, model), shutil.disk_usage(output.parent).free, output.parent)
    if sum(weight.numel() for weight in model.parameters()) > _MAX_PARAMETERS:
        return
    scratch = output.with_name(f".{output.name}.rehearsal")
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        scratch.mkdir(parents=True)
        export_policy(config, folder, start, model.state_dict(), scratch)
        loaded = AutoModelForCausalLM.from_pretrained(scratch, dtype=torch.float32)
        with torch.inference_mode():
            logits = loaded(input_ids=torch.tensor([[0, 1, 2]])).logits
        if not logits.isfinite().all():
            raise StageError(
                f"the untrained policy of {folder} gives logits that are not finite: start from "
                "whole weights"
            )
    except OSError as error:
        raise StageError(
            f"{output.parent}: a checkpoint cannot be written there ({error.strerror or error}): "
            "name another work folder, or change its permissions"
        ) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    took = time.monotonic() - began
    print(f"{output.name}: merge, export and loading were tried in {took:.1f} s", flush=True)
