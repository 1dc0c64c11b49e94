"""A run's config as transformers' Trainer wants it, and where its log goes."""

import importlib.util
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter
from transformers import PreTrainedModel, TrainerCallback, TrainingArguments
from transformers.integrations.integration_utils import TensorBoardCallback

from trainer.pipeline.stage import StageError
from trainer.training.config import TrainConfig
from trainer.training.loop import processes
from trainer.training.loop.schedule import Schedule


def arguments(
    config: TrainConfig, schedule: Schedule, checkpoints: Path, model: PreTrainedModel
) -> TrainingArguments:
    """Of one process.

    Raises:
        StageError: the processes cannot share a step, or the config asks for what is not there.
    """
    return TrainingArguments(
        output_dir=str(checkpoints),
        max_steps=schedule.total,
        per_device_train_batch_size=_micro_batch(config),
        gradient_accumulation_steps=config.gradient_accumulation_steps,
        learning_rate=config.learning_rate,
        max_grad_norm=config.max_grad_norm,
        lr_scheduler_type=config.lr_scheduler_type,
        lr_scheduler_kwargs={"num_decay_steps": schedule.decay}
        if config.lr_scheduler_type == "warmup_stable_decay"
        else {},
        warmup_steps=schedule.warmup,
        logging_steps=config.logging_steps,
        save_strategy="steps" if config.save_steps else "no",
        save_steps=config.save_steps or 1,
        eval_strategy="steps" if config.eval_steps else "no",
        eval_steps=config.eval_steps or None,
        report_to=_report_to(config),
        remove_unused_columns=False,
        dataloader_pin_memory=False,
        seed=config.seed,
        data_seed=config.seed,
        **_sharding(config, model),
    )


def log_writers(config: TrainConfig, output: Path, step: int) -> list[TrainerCallback]:
    """TensorBoard's files of this stage, from `step` on: what a killed run wrote later is void."""
    if config.report_to != "tensorboard" or not processes.is_main():
        return []
    folder = output.parent / "logs" / output.name
    return [TensorBoardCallback(SummaryWriter(str(folder), purge_step=step + 1))]


def _micro_batch(config: TrainConfig) -> int:
    parts = processes.count() * config.gradient_accumulation_steps
    size, rest = divmod(config.prompts_per_step, parts)
    if rest or not size:
        raise StageError(
            f"prompts_per_step is {config.prompts_per_step}, which {processes.count()} processes "
            f"with {config.gradient_accumulation_steps} micro-batches each cannot "
            f"share: make it a multiple of {parts}"
        )
    return size


def _report_to(config: TrainConfig) -> str:
    if config.report_to != "wandb":
        return "none"
    if importlib.util.find_spec("wandb") is None:
        raise StageError('report_to is "wandb", which is not installed: pip install wandb')
    return "wandb"


def _sharding(config: TrainConfig, model: PreTrainedModel) -> dict[str, Any]:
    """Each layer is a unit that FSDP2 gathers and frees; sharded checkpoints, resumed the same."""
    if processes.count() == 1:
        return {}
    if config.optimizer == "muon":
        raise StageError('Muon looks at whole matrices, and processes have parts: set "adamw"')
    return {
        "fsdp": True,
        "fsdp_config": {
            "version": 2,
            "auto_wrap_policy": "TRANSFORMER_BASED_WRAP",
            "transformer_layer_cls_to_wrap": sorted(model._no_split_modules or ()),
            "state_dict_type": "SHARDED_STATE_DICT",
            "reshard_after_forward": True,
        },
        "use_cpu": processes.device() == "cpu",
        "ddp_backend": "gloo" if processes.device() == "cpu" else "nccl",
    }
