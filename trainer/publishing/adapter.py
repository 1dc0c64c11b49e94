"""A trained checkpoint as a LoRA adapter of the model that its training started from.

The adapter holds, for each linear layer, the best approximation of low rank to the difference of
the two weights, and the score head whole. Training with LoRA changes weights by matrices of its
rank, and two rounds of it by matrices of both ranks together: then nothing is lost but rounding.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from typing import Literal

import torch
from peft import LoraConfig
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import PreTrainedModel

from reward_model.release.base import digest
from reward_model.release.checkpoint import load_model
from reward_model.release.files import ADAPTER_CONFIG, ADAPTER_WEIGHTS
from reward_model.release.hub import is_hub_id
from reward_model.release.manifest import AdapterBase
from reward_model.release.packaged_base import PACKAGED
from reward_model.release.release import Release
from trainer.pipeline.stage import StageError
from trainer.training.weights.start import load_network

# PEFT's prefix of every name in an adapter's file.
_PREFIX = "base_model.model."


@dataclass(frozen=True)
class LowRankAdapter:
    """How a release is stored as an adapter, and how its readers find the base.

    Attributes:
        base: directory or hub id of the base; empty for the model that training started from.
        base_name: name of the folder in which a reader looks for the base; empty for that of a base
            that comes in a package, and else the last part of its directory's or hub id's name.
        base_source: where to get the base, for readers: a hub id, with `@REVISION` or without, or a
            sentence; empty for the hub id, if it is one, or the package.
        rank: rank of each layer's factors. Two rounds of LoRA make the sum of their ranks.
        dtype: of the factors; the score head is always in float32.
        max_difference: the largest root mean square by which the scores of held-out answers may
            differ from the whole checkpoint's, in standard deviations of its calibration.
    """

    base: str = ""
    base_name: str = ""
    base_source: str = ""
    rank: int = 16
    dtype: Literal["float32", "bfloat16"] = "bfloat16"
    max_difference: float = 0.1


@dataclass(frozen=True)
class ScoreDifference:
    """By how much an adapter's scores differ from the whole checkpoint's, on pairs of answers.

    Attributes:
        mean, largest: root mean square and maximum, in standard deviations of the calibration.
        reordered: how many of `pairs` the two order differently.
    """

    mean: float
    largest: float
    pairs: int
    reordered: int


def base_of(config: LowRankAdapter, start: str, folder: Path) -> AdapterBase:
    """The manifest's entry for the base.

    Args:
        start: the base as it was named, a directory or a hub id, and `folder` where it is.
    """
    source = config.base_source
    if not source and is_hub_id(start) and not Path(start).is_dir():
        # The hub's cache has a folder for each commit.
        commit = folder.name if folder.parent.name == "snapshots" else ""
        source = f"{start}@{commit}" if commit else start
    weights = digest(folder)
    name = config.base_name or Path(start).name
    for packaged, known in PACKAGED.items():
        if known.weights_sha256 == weights:
            name = config.base_name or packaged
            source = source or f"python -m reward_model.release.packaged_base {packaged}"
    return AdapterBase(
        name=name,
        weights_sha256=weights,
        source=source or f"the folder {name} from which it was trained",
    )


def write_adapter(
    config: LowRankAdapter,
    checkpoint: Release,
    base: AdapterBase,
    weights_of_base: Path,
    folder: Path,
) -> Release:
    """Write the adapter into the folder, which holds config and tokenizer; return it opened.

    Args:
        weights_of_base: its directory.

    Raises:
        StageError: training changed more than an adapter holds.
    """
    before = load_network(weights_of_base, seed=0, load_in_4bit=False)
    after = load_model(checkpoint)
    linear = changed_layers(before, after)
    dtype = torch.bfloat16 if config.dtype == "bfloat16" else torch.float32
    weights = {
        f"{_PREFIX}{name}": weight.float().contiguous()
        for name, weight in after.state_dict().items()
        if name.startswith("score.")
    }
    for name in linear:
        difference = after.get_parameter(f"{name}.weight") - before.get_parameter(f"{name}.weight")
        down, up = low_rank(difference.detach(), config.rank)
        weights[f"{_PREFIX}{name}.lora_A.weight"] = down.to(dtype)
        weights[f"{_PREFIX}{name}.lora_B.weight"] = up.to(dtype)
    save_file(weights, folder / ADAPTER_WEIGHTS, {"format": "pt"})
    hub_id, _, revision = base.source.partition("@")
    on_hub = is_hub_id(hub_id)
    adapter = LoraConfig(
        base_model_name_or_path=hub_id if on_hub else base.name,
        revision=(revision or None) if on_hub else None,
        task_type="SEQ_CLS",
        inference_mode=True,
        r=config.rank,
        lora_alpha=config.rank,  # a scaling of 1
        lora_dropout=0.0,
        target_modules=sorted({name.rpartition(".")[2] for name in linear}),
        modules_to_save=["score"],
    )
    entries = {
        # PEFT keeps names as sets, whose order differs from process to process.
        name: sorted(entry) if isinstance(entry, set) else entry
        for name, entry in adapter.to_dict().items()
    }
    (folder / ADAPTER_CONFIG).write_text(json.dumps(entries, indent=1, sort_keys=True) + "\n")
    return Release(
        path=weights_of_base,
        name=checkpoint.name,
        version=checkpoint.version,
        dtype=checkpoint.dtype,
        max_tokens=checkpoint.max_tokens,
        pad_id=checkpoint.pad_id,
        adapter=folder,
        is_self_contained=True,
        embeddings=checkpoint.embeddings,
    )


def changed_layers(before: PreTrainedModel, after: PreTrainedModel) -> list[str]:
    """Names of all linear layers of those kinds (`q_proj`, ...) that training has changed.

    Raises:
        StageError: something else than linear layers and the score head differs.
    """
    kinds: set[str] = set()
    linear = [
        name
        for name, module in before.named_modules()
        if isinstance(module, nn.Linear) and name != "score"
    ]
    weights = {f"{name}.weight" for name in linear}
    trained = dict(after.named_parameters())
    for name, parameter in before.named_parameters():
        other = trained.get(name)
        if name.startswith("score."):
            continue
        if other is None or other.shape != parameter.shape:
            raise StageError(
                f"the base has {name} in another shape than the trained checkpoint: publish whole "
                "weights (without adapter), or name the base that training started from"
            )
        # Training's export rounds weights to bfloat16, which the base's own need not be.
        if torch.equal(other, parameter) or torch.equal(other, parameter.bfloat16().float()):
            continue
        if name not in weights:
            raise StageError(
                f"{name} of the checkpoint is not its base's, and an adapter holds changes of "
                "linear layers alone: publish whole weights (without adapter), train with LoRA, or "
                "name the base that training started from"
            )
        kinds.add(name.removesuffix(".weight").rpartition(".")[2])
    if not kinds:
        raise StageError(
            "no linear layer differs from the base's: name the base that training started from"
        )
    return [name for name in linear if name.rpartition(".")[2] in kinds]


def low_rank(difference: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """Factors A `[rank, in]` and B `[out, rank]` whose product B A is nearest to the difference.

    Nearest in the Frobenius norm, by Eckart and Young. Each factor gets the root of the singular
    values, so that both are of like size when they are rounded.
    """
    left, values, right = torch.linalg.svd(difference, full_matrices=False)
    root = values[:rank].sqrt()
    down, up = root[:, None] * right[:rank], left[:, :rank] * root
    missing = rank - len(root)  # a layer may be narrower than the rank
    if missing > 0:
        down, up = nn.functional.pad(down, (0, 0, 0, missing)), nn.functional.pad(up, (0, missing))
    return down.contiguous(), up.contiguous()


@torch.inference_mode()
def plain_scores(release: Release, texts: Sequence[tuple[int, ...]]) -> list[float]:
    """Scores of the plain forward, one text at a time: what any other loader would get."""
    model = load_model(release).eval()
    return [float(model(input_ids=torch.tensor([ids])).logits[0, 0]) for ids in texts]


def difference_of(whole: Sequence[float], adapter: Sequence[float], std: float) -> ScoreDifference:
    """Compare scores of pairs, whose answers follow each other."""
    differences = [abs(a - b) / std for a, b in zip(whole, adapter, strict=True)]
    margins = [
        [scores[index] - scores[index + 1] for index in range(0, len(scores) - 1, 2)]
        for scores in (whole, adapter)
    ]
    return ScoreDifference(
        mean=sqrt(sum(each**2 for each in differences) / len(differences)),
        largest=max(differences),
        pairs=len(margins[0]),
        reordered=sum((a > 0) != (b > 0) for a, b in zip(*margins, strict=True)),
    )
