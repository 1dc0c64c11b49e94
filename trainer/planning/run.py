"""What a plan needs to know of a training stage: fields of its config, as its manifest has them."""

import dataclasses
from typing import Literal

from pydantic import BaseModel, ConfigDict

from trainer.pipeline.stage import Row


class LossTerms(BaseModel):
    """Of the losses; a loss without weight costs nothing."""

    rank: float = 1.0
    lm: float = 1.0


class LoraSpec(BaseModel):
    """Of adapters."""

    r: int
    load_in_4bit: bool = False


class TrainingRun(BaseModel):
    """See `trainer.training`. A field that a stage's config has not is at what it does without."""

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
    """None when the stage does not train."""
    fields = dataclasses.asdict(config)
    if not {"start", "prompts_per_step"} <= fields.keys():
        return None
    if mixture := fields.get("mixture"):
        fields["pairs"] = mixture[0]["stage"]
    return TrainingRun.model_validate(fields)
