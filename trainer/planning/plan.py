"""A recipe, devices and perhaps data -> what each stage will take."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainer.pipeline.recipe import Recipe
from trainer.pipeline.stage import StageError
from trainer.planning.cost import (
    Memory,
    TokenCounts,
    checkpoint_bytes,
    forward_flops,
    training_flops,
    training_memory,
)
from trainer.planning.gpus import Devices
from trainer.planning.lengths import Lengths, assumed, measured
from trainer.planning.run import TrainingRun, training_run
from trainer.planning.shape import KNOWN, Shape, read_shape

_HELD_OUT = 1500
"""Rows of a held-out split while nobody knows."""


@dataclass(frozen=True)
class StagePlan:
    """What a stage will take, nothing if it runs no model; `notes` say what that rests on."""

    stage: str
    notes: tuple[str, ...]
    tokens: float = 0.0
    flops: float = 0.0
    memory: Memory | None = None
    seconds: float = 0.0
    disk: float = 0.0


def plan(recipe: Recipe, stages: list[str], devices: Devices, work: Path | None) -> list[StagePlan]:
    """One for each stage; `work` is where data and checkpoints may already be.

    Raises:
        StageError: a model's shape is not known.
    """
    planner = _Planner(recipe, devices, work)
    return [planner.stage(stage) for stage in stages]


@dataclass(frozen=True)
class _Planner:
    recipe: Recipe
    devices: Devices
    work: Path | None

    def stage(self, stage: str) -> StagePlan:
        config = self.recipe[stage].config
        if run := training_run(config):
            return self._training(stage, run)
        fields = dataclasses.asdict(config)
        checkpoint = fields.get("checkpoint")
        if stage == "publish" or "num_hidden_layers" in fields:
            shape = self.shape(checkpoint or stage)
            return StagePlan(stage, ("writes a checkpoint",), disk=checkpoint_bytes(shape))
        if checkpoint and (pairs := _scored(fields)):
            return self._scoring(stage, checkpoint, pairs)
        return StagePlan(stage, (_uncounted(fields),))

    def _training(self, stage: str, run: TrainingRun) -> StagePlan:
        shape, lengths = self.shape(run.start), self.lengths(run.pairs, run.start, run.max_length)
        steps = _steps(run, lengths)
        step = _step_tokens(run, lengths)
        tokens = TokenCounts(*(steps * value for value in dataclasses.astuple(step)))
        flops = training_flops(shape, tokens, gradient_checkpointing=run.gradient_checkpointing)
        memory = training_memory(shape, run, step.computed, self.devices.count)
        return StagePlan(
            stage,
            (
                f"{steps:,} steps of {run.prompts_per_step:,} prompts, N = {shape.parameters:,}",
                lengths.source,
                *_warnings(memory, self.devices, run),
            ),
            tokens=tokens.computed,
            flops=flops,
            memory=memory,
            seconds=flops / self.devices.flops,
            disk=checkpoint_bytes(shape, run),
        )

    def _scoring(self, stage: str, checkpoint: str, pairs: list[str]) -> StagePlan:
        shape = self.shape(checkpoint)
        splits = [self.lengths(each, checkpoint, None) for each in pairs]
        tokens = sum(split.held_out * split.computed() for split in splits)
        seen = sum(split.held_out * split.seen() for split in splits)
        flops = forward_flops(shape, tokens, seen)
        memory = Memory(4.0 * (shape.parameters + shape.hidden), 0.0, 0.0, 0.0)
        rows = sum(split.held_out for split in splits)
        notes = (
            f"scores {rows:,} held-out rows of {', '.join(pairs)}",
            *dict.fromkeys(split.source for split in splits),
        )
        return StagePlan(stage, notes, tokens, flops, memory, flops / self.devices.flops)

    def shape(self, start: str) -> Shape:
        """Of a stage's checkpoint, or of a model that is named by directory or hub id."""
        if start not in self.recipe.stages:
            return KNOWN[start] if start in KNOWN else read_shape(Path(start))
        config = self.recipe[start].config
        if run := training_run(config):
            return self.shape(run.start)
        fields = dataclasses.asdict(config)
        fields = fields.get("shape", fields)  # of a generator
        if "num_hidden_layers" not in fields:
            raise StageError(f"{start} makes no model: a plan cannot follow what starts from it")
        return Shape(
            layers=fields["num_hidden_layers"],
            hidden=fields["hidden_size"],
            heads=fields["num_attention_heads"],
            key_value_heads=fields["num_key_value_heads"],
            head_width=fields["hidden_size"] // fields["num_attention_heads"],
            feed_forward=fields["intermediate_size"],
            vocabulary=fields["vocab_size"],
            tied=True,
        )

    def lengths(self, pairs: str, start: str, max_length: int | None) -> Lengths:
        fields = (
            dataclasses.asdict(self.recipe[pairs].config) if pairs in self.recipe.stages else {}
        )
        if self.work and (found := measured(self.work / pairs, self._tokenizer(start))):
            return found
        kinds = fields.get("generate")
        rivals = float(sum(kinds.values())) if isinstance(kinds, dict) else 1.0
        return assumed(rivals, fields.get("max_held_out") or _HELD_OUT, max_length)

    def _tokenizer(self, start: str) -> Path | None:
        """The first that is there, going back from where a stage starts."""
        folder = Path(start) if start not in self.recipe.stages else (self.work or Path()) / start
        if (folder / "tokenizer.json").is_file() or start not in self.recipe.stages:
            return folder / "tokenizer.json"
        run = training_run(self.recipe[start].config)
        return self._tokenizer(run.start) if run else None


def _scored(fields: dict[str, Any]) -> list[str]:
    """Stages of pairs of which a split is scored; how long an evaluation's files are is not known.

    Of a calibration its `pairs`, of an evaluation those of its tasks.
    """
    if "tasks" in fields:
        return [task["stage"] for task in fields["tasks"] if task["kind"] == "pairs"]
    return [fields["pairs"]]


def _uncounted(fields: dict[str, Any]) -> str:
    if "llm" in fields:
        return f"asks {fields['llm']['endpoint']['model']}, which runs elsewhere: not counted"
    if "tasks" in fields:
        return "scores files whose lengths are not known: not counted"
    return "trains a small model: not counted" if "training" in fields else "runs no model"


def _steps(run: TrainingRun, lengths: Lengths) -> int:
    if run.max_steps is not None:
        return run.max_steps
    if lengths.rows is None:
        raise StageError(
            "a plan by epochs needs the pairs: name a --work that has them, or max_steps"
        )
    return max(1, round(run.num_train_epochs * lengths.rows / run.prompts_per_step))


def _step_tokens(run: TrainingRun, lengths: Lengths) -> TokenCounts:
    prompts, rejected = run.prompts_per_step, run.with_rejected
    predicted = lengths.answer + (lengths.prompt if run.lm_on_prompt else 0.0)
    return TokenCounts(
        computed=prompts * lengths.computed(with_rejected=rejected),
        predicted=prompts * predicted if run.weights.lm else 0.0,
        seen=prompts * lengths.seen(with_rejected=rejected),
    )


def _warnings(memory: Memory, devices: Devices, run: TrainingRun) -> tuple[str, ...]:
    room = devices.gpu.memory
    if room is None or memory.total < 0.9 * room:
        return ()
    unused = {
        "gradient_checkpointing": not run.gradient_checkpointing,
        "gradient_accumulation_steps": True,
        "LoRA": not run.lora,
    }
    remedies = ", ".join(name for name, free in unused.items() if free)
    return (
        f"DOES NOT FIT: {memory.total / 1e9:.0f} GB of {room / 1e9:.0f} GB; try {remedies}, or "
        "more devices",
    )
