"""A trained network -> a plain checkpoint of transformers', adapters merged, head in float32."""

import json
from pathlib import Path

import torch
from torch import Tensor
from transformers import PreTrainedModel

from trainer.training.config import TrainConfig
from trainer.training.weights.lora import merged
from trainer.training.weights.start import Start, load_start, save_output

# Prefix of the network's names among a `JointModel`'s.
_NETWORK = "network."


def export(
    config: TrainConfig, folder: Path, start: Start, state: dict[str, Tensor], output: Path
) -> None:
    """Write the checkpoint with its tokenizer, and an output embedding that is apart beside it.

    Args:
        folder: checkpoint that training started from; adapters are merged into its weights.
        state: all weights of the trained `JointModel`.
    """
    if config.lora:
        whole = load_start(
            folder,
            seed=config.seed,
            with_lm=False,
            end_token=config.end_token,
            chat_template=config.chat_template,
        ).model
        network = merged(whole, config.lora, state, _NETWORK)
        weights = network.state_dict()
    else:
        network = start.model
        names = (name for name in state if name.startswith(_NETWORK))
        weights = {name.removeprefix(_NETWORK): state[name] for name in names}
    save_rounded(network, weights, output)
    start.tokenizer.save_pretrained(output)
    if "output" in state:
        save_output(state["output"], output)


def save_rounded(network: PreTrainedModel, weights: dict[str, Tensor], folder: Path) -> None:
    """Store weights in bfloat16, half the size, with a config that loads them as float32.

    Every later stage reads this file, so the rounded weights are calibrated, evaluated, published
    and served.
    """
    # The head keeps its float32, because rounding it would make close candidates tie.
    rounded = {
        name: weight if name.startswith("score.") else weight.to(torch.bfloat16)
        for name, weight in weights.items()
    }
    network.save_pretrained(folder, state_dict=rounded)
    file = folder / "config.json"
    config = json.loads(file.read_text()) | {"dtype": "float32"}
    file.write_text(json.dumps(config, indent=2) + "\n")
