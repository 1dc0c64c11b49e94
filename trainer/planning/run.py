"""The fields of a training stage's config that a plan needs, without importing torch."""

import dataclasses
from typing import Literal

from pydantic import BaseModel, ConfigDict

from trainer.pipeline.stage import Dataclass


class PlannedLosses(BaseModel):
    """Weights of the two terms of the paper's loss; a term of weight 0 costs nothing."""

    rank: float = 1.0
    lm: float = 1.0


class LoraSpec(BaseModel):
    """The size of the adapters, their layers, and whether frozen weights are stored in 4 bits."""

    r: int
    target_modules: str | tuple[str, ...] = "all-linear"
    load_in_4bit: bool = False


class TrainingRun(BaseModel):
    """A training stage; see `trainer.training.config`.

    A field that the stage's config does not have keeps the default here, which is the value that
    such a stage behaves as if it had.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    start: str
    prompts_per_step: int
    max_steps: int | None = None
    num_train_epochs: float = 1.0
    gradient_accumulation_steps: int = 1
    pairs: str = "pairs"
    weights: PlannedLosses = PlannedLosses()
    with_rejected: bool = True
    lm_on_prompt: bool = False
    optimizer: Literal["muon", "adamw"] = "muon"
    max_length: int | None = None
    gradient_checkpointing: bool = False
    lora: LoraSpec | None = None
    save_steps: float = 0
    save_total_limit: int = 2


def training_run(config: Dataclass) -> TrainingRun | None:
    """The run of a stage's config; None when the stage trains no reward model."""
    fields = dataclasses.asdict(config)
    # How many pairs a policy has to learn from, nobody knows before it has been sampled.
    if not {"start", "prompts_per_step"} <= fields.keys() or "loss_type" in fields:
        return None
    # A mixture is planned by the lengths of its first source.
    if mixture := fields.get("mixture"):
        fields["pairs"] = mixture[0]["stage"]
    return TrainingRun.model_validate(fields)
