"""A run's config as transformers' Trainer wants it, and the writers of its log."""

import importlib.util
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter
from transformers import PreTrainedModel, TrainerCallback, TrainingArguments
from transformers.integrations.integration_utils import TensorBoardCallback

from trainer.pipeline.stage import StageError
from trainer.training.config import LoopConfig
from trainer.training.loop import processes
from trainer.training.loop.schedule import Schedule


def arguments(
    config: LoopConfig, schedule: Schedule, checkpoints: Path, model: PreTrainedModel
) -> TrainingArguments:
    """Arguments of one process.

    Raises:
        StageError: the processes cannot share a step, or the config asks for what is not there.
    """
    parts = processes.count() * config.gradient_accumulation_steps
    micro_batch, rest = divmod(config.prompts_per_step, parts)
    if rest or not micro_batch:
        raise StageError(
            f"prompts_per_step is {config.prompts_per_step}, which {processes.count()} processes "
            f"with {config.gradient_accumulation_steps} micro-batches each cannot share: make it a "
            f"multiple of {parts}"
        )
    if config.report_to == "wandb" and importlib.util.find_spec("wandb") is None:
        raise StageError('report_to is "wandb", which is not installed: pip install wandb')
    has_stable_phase = config.lr_scheduler_type == "warmup_stable_decay"
    return TrainingArguments(
        output_dir=str(checkpoints),
        max_steps=schedule.total,
        per_device_train_batch_size=micro_batch,
        gradient_accumulation_steps=config.gradient_accumulation_steps,
        learning_rate=config.learning_rate,
        max_grad_norm=config.max_grad_norm,
        lr_scheduler_type=config.lr_scheduler_type,
        lr_scheduler_kwargs={"num_decay_steps": schedule.decay} if has_stable_phase else {},
        warmup_steps=schedule.warmup,
        logging_steps=config.logging_steps,
        save_strategy="steps" if config.save_steps else "no",
        save_steps=config.save_steps or 1,
        eval_strategy="steps" if config.eval_steps else "no",
        eval_steps=config.eval_steps or None,
        # TensorBoard files go beside the stage, by the callback below.
        report_to="wandb" if config.report_to == "wandb" else "none",
        remove_unused_columns=False,
        dataloader_pin_memory=False,
        seed=config.seed,
        data_seed=config.seed,
        **sharding(config, model),
    )


def sharding(config: LoopConfig, model: PreTrainedModel) -> dict[str, Any]:
    """Arguments of FSDP2, which gathers and frees the weights of one layer at a time."""
    if processes.count() == 1:
        return {}
    if config.optimizer == "muon":
        raise StageError('Muon looks at whole matrices, and processes have parts: set "adamw"')
    on_cpu = processes.device() == "cpu"
    return {
        "fsdp": True,
        "fsdp_config": {
            "version": 2,
            "auto_wrap_policy": "TRANSFORMER_BASED_WRAP",
            "transformer_layer_cls_to_wrap": sorted(model._no_split_modules or ()),
            "state_dict_type": "SHARDED_STATE_DICT",
            "reshard_after_forward": True,
        },
        "use_cpu": on_cpu,
        "ddp_backend": "gloo" if on_cpu else "nccl",
    }


def log_writers(config: LoopConfig, output: Path, step: int) -> list[TrainerCallback]:
    """Writers of TensorBoard files for this stage.

    Args:
        step: where the run resumes. What a killed run logged after it is purged.
    """
    if config.report_to != "tensorboard" or not processes.is_main():
        return []
    folder = output.parent / "logs" / output.name
    return [TensorBoardCallback(SummaryWriter(str(folder), purge_step=step + 1))]
