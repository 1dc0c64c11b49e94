from dataclasses import replace
from pathlib import Path

import pytest

from tests.trainer.training.stages import make_base, make_work
from trainer.pipeline.stage import StageError
from trainer.training import pretrain
from trainer.training.loop.arguments import arguments
from trainer.training.loop.schedule import Schedule
from trainer.training.pretrain import PretrainConfig
from trainer.training.weights.start import load_start

CONFIG = PretrainConfig(
    start="base",
    max_steps=6,
    prompts_per_step=4,
    learning_rate=3e-3,
    optimizer="adamw",
    warmup_ratio=0.34,
    bf16=False,
    logging_steps=2,
    report_to="none",
)


@pytest.fixture
def work(tmp_path: Path) -> Path:
    return make_work(tmp_path)


def run(config: PretrainConfig, work: Path, name: str) -> Path:
    pretrain.run(config, work, work / name)
    return work / name


def test_a_config_becomes_the_arguments_of_the_same_names(tmp_path: Path) -> None:
    make_base(tmp_path / "base")
    model = load_start(tmp_path / "base", seed=1, with_lm=False).model
    config = replace(CONFIG, gradient_accumulation_steps=2, max_grad_norm=0.5, save_steps=3)
    found = arguments(config, Schedule(total=6, warmup=2, decay=1), tmp_path / "checkpoints", model)
    assert (found.max_steps, found.warmup_steps, found.save_steps) == (6, 2, 3)
    assert (found.learning_rate, found.max_grad_norm, found.logging_steps) == (3e-3, 0.5, 2)
    assert found.per_device_train_batch_size * found.gradient_accumulation_steps == 4
    assert found.lr_scheduler_kwargs == {"num_decay_steps": 1}
    cosine = replace(config, lr_scheduler_type="cosine")
    assert not arguments(cosine, Schedule(6, 2, 0), tmp_path, model).lr_scheduler_kwargs


def test_a_step_that_cannot_be_shared_says_by_what_to_divide(work: Path) -> None:
    with pytest.raises(StageError, match="make it a multiple of 3"):
        run(replace(CONFIG, gradient_accumulation_steps=3), work, "odd")


def test_weights_and_biases_are_asked_for_by_name(work: Path) -> None:
    with pytest.raises(StageError, match="pip install wandb"):
        run(replace(CONFIG, report_to="wandb"), work, "logged")


def test_tensorboard_files_lie_beside_the_stage(work: Path) -> None:
    run(replace(CONFIG, report_to="tensorboard"), work, "logged")
    assert list((work / "logs" / "logged").glob("events.out.tfevents.*"))
