"""Finetuning on preferences: the ranking loss alone, on a mixture of pairs.

Where a checkpoint brings its score head, that is where finetuning starts; it is what pretraining
has learnt (arXiv 2410.02229). A base without one gets a fresh head.
"""

import random
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from reward_model.text.encoding import Encoder
from trainer.pairs.row import PreferenceRow, read_pairs
from trainer.preferences.doctor import doctor
from trainer.training.config import TrainConfig
from trainer.training.loop import processes
from trainer.training.objective.joint import JointModel
from trainer.training.objective.loss import LossWeights
from trainer.training.run import Data, look, train
from trainer.training.weights.start import Start


@dataclass(frozen=True)
class Mix:
    """A stage of pairs in the mixture.

    Attributes:
        weight: of its pairs in the losses, on top of their own.
        max_rows: rows drawn from its training split; None takes all.
    """

    stage: str
    weight: float = 1.0
    max_rows: int | None = None


@dataclass(frozen=True, kw_only=True)
class FinetuneConfig(TrainConfig):
    """One run over preferences; the figures of arXiv 2410.02229 unless given.

    Attributes:
        mixture: the stages whose pairs it reads.
    """

    mixture: tuple[Mix, ...] = (Mix("preferences"),)
    weights: LossWeights = field(default_factory=lambda: LossWeights(lm=0.0))
    lr_scheduler_type: Literal["warmup_stable_decay", "cosine"] = "cosine"
    optimizer: Literal["muon", "adamw"] = "adamw"
    weight_decay: float = 0.0
    eval_steps: int = 50


def run(config: FinetuneConfig, inputs: Path, output: Path) -> None:
    """Read the mixture and the checkpoint of `config.start`; write a checkpoint and its log."""
    train(config, _data(config, inputs), inputs, output, _examine)


def diagnose(config: FinetuneConfig, inputs: Path) -> None:
    """Print what the doctor finds in what `run` would read; train nothing.

    Raises:
        StageError: training would be worthless, or its figures wrong.
    """
    look(config, _data(config, inputs), inputs, _examine)


def _data(config: FinetuneConfig, inputs: Path) -> Data:
    return Data(
        rows=[row for mix in config.mixture for row in _rows(mix, inputs, "train", config.seed)],
        held_out=[row for mix in config.mixture for row in _rows(mix, inputs, "evaluation")],
        stages=[inputs / mix.stage for mix in config.mixture],
    )


def _examine(data: Data, encoder: Encoder, start: Start, model: JointModel) -> dict[str, object]:
    """What the doctor finds, shown and for the manifest.

    Raises:
        StageError: training would be worthless, or its figures wrong.
    """
    facts = doctor.ModelFacts(
        tokenizer=start.tokenizer,
        head_trainable=all(weight.requires_grad for weight in model.head.parameters()),
        pad_id=start.model.config.pad_token_id,
    )
    findings = doctor.examine(data.rows, data.held_out, encoder, facts)
    if processes.is_main():
        print(doctor.report(findings))
    findings.refuse()
    return {"doctor": findings.facts()}


def _rows(mix: Mix, inputs: Path, split: str, seed: int | None = None) -> list[PreferenceRow]:
    """A stage's rows, marked with it where they name no source, weighed as the mixture says."""
    rows = read_pairs(inputs / mix.stage, split)
    if seed is not None and mix.max_rows is not None and mix.max_rows < len(rows):
        rows = random.Random(f"{seed} {mix.stage}").sample(rows, mix.max_rows)
    return [
        replace(row, source=row.source or mix.stage, weight=row.weight * mix.weight) for row in rows
    ]
