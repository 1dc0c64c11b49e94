"""Numbers with which no run could end are refused where a config is made."""

from math import inf, nan
from typing import Any

import pytest

from trainer.pipeline.overrides import overridden
from trainer.pipeline.stage import StageError
from trainer.recipes import open_recipe
from trainer.training.config import LoraAdapters, TrainConfig


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("prompts_per_step", 0),
        ("max_steps", 0),
        ("max_steps", -1),
        ("gradient_accumulation_steps", 0),
        ("max_length", 0),
        ("logging_steps", 0),
        ("num_train_epochs", 0.0),
        ("num_train_epochs", nan),
        ("learning_rate", nan),
        ("learning_rate", inf),
        ("learning_rate", -1e-4),
        ("warmup_ratio", 5.0),
        ("decay_ratio", -0.1),
        ("save_steps", -1),
    ],
)
def test_a_number_with_which_no_run_could_end_is_refused(name: str, number: float) -> None:
    fields: dict[str, Any] = {"start": "base", "prompts_per_step": 8, "learning_rate": 1e-4}
    with pytest.raises(StageError, match=f"{name} is {number}: it must be"):
        TrainConfig(**{**fields, name: number})
    with pytest.raises(StageError, match="r is 0: it must be 1 or more"):
        TrainConfig(**fields, lora=LoraAdapters(r=0))


@pytest.mark.parametrize(
    "setting",
    ["preferences.evaluation_share=2", "preferences.calibration_share=-1", "evaluate.resamples=0"],
)
def test_other_stages_refuse_theirs_before_anything_runs(setting: str) -> None:
    with pytest.raises(StageError, match="it must be"):
        overridden(open_recipe("finetune"), [setting])
