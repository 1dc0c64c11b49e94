"""The fields of a training stage's config that a plan needs, without importing torch."""

import dataclasses
from typing import Literal

from pydantic import BaseModel, ConfigDict

from trainer.pipeline.stage import Row


class LossTerms(BaseModel):
    """Weights of the losses; a loss of weight 0 costs nothing."""

    rank: float = 1.0
    lm: float = 1.0


class LoraSpec(BaseModel):
    """The size of the adapters, and whether the frozen weights are stored in 4 bits."""

    r: int
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
    weights: LossTerms = LossTerms()
    with_rejected: bool = True
    lm_on_prompt: bool = False
    optimizer: Literal["muon", "adamw"] = "muon"
    max_length: int | None = None
    gradient_checkpointing: bool = False
    lora: LoraSpec | None = None
    save_steps: int = 0
    save_total_limit: int = 2


def training_run(config: Row) -> TrainingRun | None:
    """The run of a stage's config; None when the stage does not train."""
    fields = dataclasses.asdict(config)
    if not {"start", "prompts_per_step"} <= fields.keys():
        return None
    # A mixture is planned by the lengths of its first source.
    if mixture := fields.get("mixture"):
        fields["pairs"] = mixture[0]["stage"]
    return TrainingRun.model_validate(fields)
