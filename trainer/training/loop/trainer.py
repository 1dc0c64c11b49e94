"""transformers' Trainer over packed batches, with our own loss, totals and optimizer."""

from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from accelerate.utils import FullyShardedDataParallelPlugin
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim import Optimizer
from transformers import Trainer
from transformers.utils import SAFE_WEIGHTS_NAME

from trainer.training.config import LoopConfig
from trainer.training.loop import processes
from trainer.training.loop.held_out import HeldOut
from trainer.training.loop.meter import Meter
from trainer.training.loop.optimizers import optimizer_of
from trainer.training.objective.batches import Totals
from trainer.training.objective.losses import JointLoss


class PackedTrainer(Trainer):
    """Trains a module on packed batches; logs the loss's terms and the accuracy.

    The module takes a batch and `Totals` and returns a `JointLoss`. A batch has `packed` and
    `totals`, as `trainer.training.objective.batches.Batch` has them.
    """

    loss_is_scaled_for_ga = True  # the loss is already divided by the totals of the whole step

    def __init__(
        self, *, config: LoopConfig, model: nn.Module, held_out: HeldOut[Any] | None, **rest: Any
    ) -> None:
        super().__init__(model=model, **rest)
        self._config = config
        self._held_out = held_out
        self._meter = Meter()

    def create_accelerator_and_postprocess(self) -> None:
        super().create_accelerator_and_postprocess()
        if self.args.fsdp_plugin_args and processes.device() == "cpu":
            plugin = FullyShardedDataParallelPlugin(**self.args.fsdp_plugin_args)
            processes.shard_on_cpu(self.accelerator, plugin)
            self.is_fsdp_enabled = True

    def get_batch_samples(
        self, epoch_iterator: Iterator[Any], num_batches: int, device: torch.device
    ) -> tuple[list[Any], Any]:
        """The micro-batches of a step, and the `Totals` of all processes."""
        self._meter.begin_step()
        samples, _ = super().get_batch_samples(epoch_iterator, num_batches, device)
        own = [sample["batch"].totals for sample in samples]
        # Sums of all processes, so that every micro-batch is divided by the same totals.
        sums = torch.tensor([sum(parts) for parts in zip(*own, strict=True)], device=device)
        return samples, Totals(*self.accelerator.reduce(sums).tolist())

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Tensor:
        """This micro-batch's part of the step's loss."""
        assert not return_outputs, "a packed batch has no outputs per example"
        batch = inputs["batch"]
        assert isinstance(num_items_in_batch, Totals)
        device = self.args.device.type
        with torch.autocast(device, torch.bfloat16, enabled=self._config.bf16):
            terms: JointLoss = model(batch, num_items_in_batch)
        self._meter.add(terms, len(batch.packed.ids))
        # Gradients are averaged over the processes, and these parts are to be added.
        world: int = self.args.world_size
        return terms.total * world

    def create_optimizer(self, model: nn.Module | None = None) -> Optimizer:
        network = model or self.model
        assert network is not None
        self.optimizer = optimizer_of(self._config, network)
        return self.optimizer

    def evaluate(self, *_: Any, metric_key_prefix: str = "eval", **__: Any) -> dict[str, float]:
        """Accuracy on held-out pairs, over all and by source."""
        assert self._held_out
        assert self.model_wrapped is not None
        began = perf_counter()
        found = self._held_out.measure(self.model_wrapped, self.accelerator)
        self._meter.exclude(perf_counter() - began)
        metrics = {f"{metric_key_prefix}_{name}": value for name, value in found.items()}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(
            self.args, self.state, self.control, metrics
        )
        return metrics

    def log(self, logs: dict[str, float], *rest: Any) -> None:
        evaluated = any(name.startswith("eval_") for name in logs)
        # An evaluation's line would otherwise take the terms that the next training line is due.
        terms = {} if evaluated else self._meter.take()
        super().log({**logs, **terms}, *rest)

    def _save(
        self,
        output_dir: str | None = None,
        state_dict: dict[str, Any] | None = None,  # noqa: ARG002 - the signature is theirs
    ) -> None:
        # Only what is trained is saved: with adapters the rest is the start's, perhaps quantized.
        # A weight that two modules share is there once.
        assert output_dir
        assert self.model is not None
        trained = {n: p.detach() for n, p in self.model.named_parameters() if p.requires_grad}
        if self.args.should_save:
            Path(output_dir).mkdir(parents=True, exist_ok=True)
            save_file(trained, Path(output_dir) / SAFE_WEIGHTS_NAME)

    def _issue_warnings_after_load(self, load_result: Any) -> None:
        # transformers asks the model for attributes that only its own models have, and would list
        # all weights of a start whose adapters alone are saved.
        assert self.model is not None
        trained = {name for name, p in self.model.named_parameters() if p.requires_grad}
        lacking = trained.intersection(load_result.missing_keys)
        assert not lacking, "a checkpoint holds all that is trained"
        assert not load_result.unexpected_keys, "a checkpoint holds only what is trained"
