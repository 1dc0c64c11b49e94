"""Plans a recipe: tokens, FLOPs, memory, time and disk of each stage on given devices."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

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

_HELD_OUT = 1500  # rows of a held-out split that does not exist yet


@dataclass(frozen=True)
class StagePlan:
    """The cost of a stage, zero if it runs no model; `notes` state the assumptions.

    Attributes:
        memory: bytes on each device.
        disk: bytes that the stage writes.
    """

    stage: str
    notes: tuple[str, ...]
    tokens: float = 0.0
    flops: float = 0.0
    memory: Memory | None = None
    seconds: float = 0.0
    disk: float = 0.0


def plan(recipe: Recipe, stages: list[str], devices: Devices, work: Path | None) -> list[StagePlan]:
    """A plan for each stage; `work` is where data and checkpoints may exist already.

    Raises:
        StageError: a model's shape is not known.
    """
    planner = Planner(recipe, devices, work)
    return [planner.stage(stage) for stage in stages]


@dataclass(frozen=True)
class Planner:
    """Plans single stages of a recipe."""

    recipe: Recipe
    devices: Devices
    work: Path | None

    def stage(self, stage: str) -> StagePlan:
        config = self.recipe[stage].config
        if run := training_run(config):
            return self.training(stage, run)
        # A plan knows configs by their fields, not by their types: importing those loads torch.
        fields = dataclasses.asdict(config)
        checkpoint = fields.get("checkpoint")
        if stage == "publish" or "num_hidden_layers" in fields:
            shape = self.shape(checkpoint or stage)
            return StagePlan(stage, ("writes a checkpoint",), disk=checkpoint_bytes(shape))
        if checkpoint:
            pairs = [fields["pairs"]] if "tasks" not in fields else []
            pairs += [t["stage"] for t in fields.get("tasks", ()) if t["kind"] == "pairs"]
            if pairs:
                return self.scoring(stage, checkpoint, pairs)
        if fields.get("llm"):
            model = fields["llm"]["endpoint"]["model"]
            note = f"asks {model}, which runs elsewhere: not counted"
        elif "tasks" in fields:
            note = "scores files whose lengths are not known: not counted"
        elif "loss_type" in fields:
            note = "trains a policy on pairs that are made on the way: not counted"
        elif "training" in fields:
            note = "trains a small model: not counted"
        else:
            note = "runs no model"
        return StagePlan(stage, (note,))

    def training(self, stage: str, run: TrainingRun) -> StagePlan:
        shape, lengths = self.shape(run.start), self.lengths(run.pairs, run.start, run.max_length)
        steps = run.max_steps
        if steps is None:
            if lengths.rows is None:
                raise StageError(
                    "a plan by epochs needs the pairs: name a --work that has them, or set "
                    f"{stage}.max_steps"
                )
            steps = max(1, round(run.num_train_epochs * lengths.rows / run.prompts_per_step))
        prompts, rejected = run.prompts_per_step, run.with_rejected
        predicted = lengths.answer + (lengths.prompt if run.lm_on_prompt else 0.0)
        step = TokenCounts(
            computed=prompts * lengths.computed(with_rejected=rejected),
            predicted=prompts * predicted if run.weights.lm else 0.0,
            seen=prompts * lengths.seen(with_rejected=rejected),
        )
        tokens = TokenCounts(*(steps * value for value in dataclasses.astuple(step)))
        flops = training_flops(shape, tokens, gradient_checkpointing=run.gradient_checkpointing)
        memory = training_memory(shape, run, step.computed, self.devices.count)
        notes = [
            f"{steps:,} steps of {prompts:,} prompts, N = {shape.parameters:,}",
            lengths.source,
        ]
        available = self.devices.gpu.memory
        # A tenth is left for the framework, its caches and fragmentation.
        if available is not None and memory.total >= 0.9 * available:
            unused = {
                "gradient_checkpointing": not run.gradient_checkpointing,
                "gradient_accumulation_steps": True,
                "LoRA": not run.lora,
            }
            remedies = ", ".join(name for name, free in unused.items() if free)
            notes.append(
                f"DOES NOT FIT: {memory.total / 1e9:.0f} GB of {available / 1e9:.0f} GB; try "
                f"{remedies}, or more devices"
            )
        return StagePlan(
            stage,
            tuple(notes),
            tokens=tokens.computed,
            flops=flops,
            memory=memory,
            seconds=flops / self.devices.flops,
            disk=checkpoint_bytes(shape, run),
        )

    def scoring(self, stage: str, checkpoint: str, pairs: list[str]) -> StagePlan:
        """The plan of a stage that scores the held-out rows of some stages of pairs."""
        shape = self.shape(checkpoint)
        splits = [self.lengths(each, checkpoint, None) for each in pairs]
        tokens = sum(split.held_out * split.computed() for split in splits)
        seen = sum(split.held_out * split.seen() for split in splits)
        flops = forward_flops(shape, tokens, seen)
        # Float32 weights; nothing is kept for a backward pass.
        memory = Memory(4.0 * (shape.parameters + shape.hidden), 0.0, 0.0, 0.0)
        rows = sum(split.held_out for split in splits)
        notes = (
            f"scores {rows:,} held-out rows of {', '.join(pairs)}",
            *dict.fromkeys(split.source for split in splits),
        )
        return StagePlan(stage, notes, tokens, flops, memory, flops / self.devices.flops)

    def shape(self, start: str) -> Shape:
        """The shape of a stage's checkpoint, or of a model named by directory or hub id."""
        if start not in self.recipe.stages:
            return KNOWN[start] if start in KNOWN else read_shape(Path(start))
        config = self.recipe[start].config
        if run := training_run(config):
            return self.shape(run.start)
        fields = dataclasses.asdict(config)
        fields = fields.get("shape", fields)  # a generator's config nests it
        if "num_hidden_layers" not in fields:
            raise StageError(
                f"the plan cannot tell the size of {start}, which makes no model: let the stage "
                "start from a model or from a stage that makes one"
            )
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
        """Measured lengths if the stage of pairs has finished, assumed ones otherwise."""
        fields = (
            dataclasses.asdict(self.recipe[pairs].config) if pairs in self.recipe.stages else {}
        )
        if self.work and (found := measured(self.work / pairs, self.tokenizer(start))):
            return found
        kinds = fields.get("generate")  # rejected answers of each kind
        rejected = float(sum(kinds.values())) if isinstance(kinds, dict) else 1.0
        return assumed(rejected, fields.get("max_held_out") or _HELD_OUT, max_length)

    def tokenizer(self, start: str) -> Path | None:
        """The first tokenizer that exists, from the stage's start back to the first model."""
        folder = Path(start) if start not in self.recipe.stages else (self.work or Path()) / start
        if (folder / "tokenizer.json").is_file() or start not in self.recipe.stages:
            return folder / "tokenizer.json"
        run = training_run(self.recipe[start].config)
        return self.tokenizer(run.start) if run else None
