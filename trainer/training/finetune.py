"""Finetuning on preferences: the ranking loss alone, on a mixture of pairs.

A checkpoint with a score head is finetuned from that head, which pretraining has trained
(arXiv 2410.02229). A base without one gets a fresh head.
"""

import random
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from trainer.pairs.row import PreferenceRow, read_pairs
from trainer.training.config import TrainConfig
from trainer.training.objective.losses import LossWeights
from trainer.training.run import TrainingData, train
from trainer.training.run import diagnose as run_diagnosis


@dataclass(frozen=True)
class Mix:
    """A stage of pairs in the mixture.

    Attributes:
        weight: factor of the weights that its rows have themselves.
        max_rows: rows drawn from its training split; None takes all.
    """

    stage: str
    weight: float = 1.0
    max_rows: int | None = None


@dataclass(frozen=True, kw_only=True)
class FinetuneConfig(TrainConfig):
    """One run over preferences. The defaults are the figures of arXiv 2410.02229.

    Attributes:
        mixture: the stages whose pairs are read.
    """

    mixture: tuple[Mix, ...] = (Mix("preferences"),)
    weights: LossWeights = field(default_factory=lambda: LossWeights(lm=0.0))
    lr_scheduler_type: Literal["warmup_stable_decay", "cosine"] = "cosine"
    optimizer: Literal["muon", "adamw"] = "adamw"
    weight_decay: float = 0.0


def run(config: FinetuneConfig, inputs: Path, output: Path) -> None:
    """Read the mixture and the checkpoint of `config.start`; write a checkpoint and its log."""
    train(config, _mixed(config, inputs), inputs, output, examined=True)


def diagnose(config: FinetuneConfig, inputs: Path) -> None:
    """Print the doctor's findings about what `run` would read; nothing is trained.

    Raises:
        StageError: training would be worthless, or its figures wrong.
    """
    run_diagnosis(config, _mixed(config, inputs), inputs)


def _mixed(config: FinetuneConfig, inputs: Path) -> TrainingData:
    """Rows of all stages, named after theirs where they name no source, weighted by the mixture."""
    splits: dict[str, list[PreferenceRow]] = {"train": [], "evaluation": []}
    for mix in config.mixture:
        for split, found in splits.items():
            rows = read_pairs(inputs / mix.stage, split)
            # Seeded by the stage's name, so that another stage in the mixture changes no drawing.
            if split == "train" and mix.max_rows is not None and mix.max_rows < len(rows):
                rows = random.Random(f"{config.seed} {mix.stage}").sample(rows, mix.max_rows)
            found += [
                replace(row, source=row.source or mix.stage, weight=row.weight * mix.weight)
                for row in rows
            ]
    stages = [inputs / mix.stage for mix in config.mixture]
    return TrainingData(splits["train"], splits["evaluation"], stages)
