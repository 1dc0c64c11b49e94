"""A training stage from its config and rows to its checkpoint, be it pretraining or finetuning."""

import random
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from reward_model.text.encoding import Encoder
from trainer.pairs.row import PreferenceRow
from trainer.pipeline.lineage import is_stage
from trainer.pipeline.stage import Draft, StageError, manifest_hash, writing_stage
from trainer.training.config import TrainConfig
from trainer.training.loop import checkpoints, processes
from trainer.training.loop.arguments import arguments, log_writers
from trainer.training.loop.checkpoints import Identity, Keeper
from trainer.training.loop.held_out import HeldOut
from trainer.training.loop.schedule import Schedule, schedule_of
from trainer.training.loop.trainer import PackedTrainer
from trainer.training.objective.batches import Collator
from trainer.training.objective.fitting import fitting
from trainer.training.objective.joint import JointModel
from trainer.training.weights.export import export
from trainer.training.weights.lora import add_adapters
from trainer.training.weights.start import Start, find, load_start


@dataclass(frozen=True)
class Data:
    """What a stage trains on.

    Attributes:
        rows: to train on.
        held_out: to rank in between, none of them among `rows`.
        stages: folders of the stages they are from.
        with_rejected, lm_on_prompt: as of `Collator`.
    """

    rows: list[PreferenceRow]
    held_out: list[PreferenceRow]
    stages: list[Path]
    with_rejected: bool = True
    lm_on_prompt: bool = False


Examine = Callable[[Data, Encoder, Start, JointModel], dict[str, object]]
"""Looks at everything before the first step; what it returns goes into the manifest."""


def train(
    config: TrainConfig, data: Data, inputs: Path, output: Path, examine: Examine | None = None
) -> None:
    """Train, and write a checkpoint with its log; interrupted, it goes on where it was.

    In a distributed run every process calls this, and the main one writes.

    Raises:
        StageError: config, rows, start and processes do not go together.
    """
    folder = find(config.start, inputs)
    reads = [*data.stages, *([folder] if is_stage(inputs, config.start) else [])]
    with _stage(config, output, reads) as draft:
        start = _start(config, folder)
        model = _model(config, start)
        encoder = _encoder(config, start.tokenizer)
        facts = examine(data, encoder, start, model) if examine else {}
        counts: Counter[str] = Counter()
        data = _fitting(config, data, encoder, counts)
        schedule = schedule_of(config, len(data.rows))
        identity = Identity.of(config, {read.name: manifest_hash(read) for read in reads})
        run = _Run(config, data, model, encoder, schedule, identity, inputs, output)
        checkpoint = run.checkpoint()
        trainer = run.trainer(checkpoint)
        trainer.train(str(checkpoint) if checkpoint else None)
        assert trainer.model is not None
        state = processes.whole_state(trainer.model)
        if draft:
            export(config, folder, start, state, draft.path)
            draft.facts |= facts | {"left_out": dict(counts), "steps": schedule.total}
            draft.facts["log"] = trainer.state.log_history
    if draft:
        checkpoints.clear(output, schedule, keep_branch_points=config.branch_points)
    processes.wait()


def look(config: TrainConfig, data: Data, inputs: Path, examine: Examine) -> dict[str, object]:
    """What `examine` would find before the first step; nothing is trained or written."""
    start = _start(config, find(config.start, inputs))
    return examine(data, _encoder(config, start.tokenizer), start, _model(config, start))


def _start(config: TrainConfig, folder: Path) -> Start:
    return load_start(
        folder,
        seed=config.seed,
        with_lm=config.weights.lm > 0,
        load_in_4bit=bool(config.lora and config.lora.load_in_4bit),
        end_token=config.end_token,
    )


@dataclass(frozen=True)
class _Run:
    """All that a trainer is made of."""

    config: TrainConfig
    data: Data
    model: JointModel
    encoder: Encoder
    schedule: Schedule
    identity: Identity
    inputs: Path
    output: Path

    def trainer(self, checkpoint: Path | None) -> PackedTrainer:
        config = self.config
        collator = Collator(self.encoder, self.data.with_rejected, self.data.lm_on_prompt)
        folder = checkpoints.folder_of(self.output)
        return PackedTrainer(
            config=config,
            model=self.model,
            args=arguments(config, self.schedule, folder, self.model.network),
            train_dataset=self.data.rows,
            eval_dataset=self.data.held_out or None,
            data_collator=collator,
            held_out=self._held_out(collator),
            callbacks=[
                Keeper(config, self.schedule, self.identity),
                *log_writers(config, self.output, checkpoints.step_of(checkpoint)),
            ],
        )

    def checkpoint(self) -> Path | None:
        """Of this stage if it was interrupted, or of the one it branches from."""
        branch = self.config.branch_from
        found = checkpoints.to_resume(self.output, self.identity)
        if found or branch is None:
            return found
        return checkpoints.to_branch(branch, self.inputs, self.identity)

    def _held_out(self, collator: Collator) -> HeldOut | None:
        if not self.data.held_out:
            return None
        ranked = replace(collator, with_rejected=True, lm_on_prompt=False)
        at_once = min(16, self.config.prompts_per_step)
        return HeldOut(self.data.held_out, ranked, at_once, self.config.bf16)


def _stage(
    config: TrainConfig, output: Path, reads: list[Path]
) -> AbstractContextManager[Draft | None]:
    if not processes.is_main():
        return nullcontext()
    return writing_stage(config, output, reads=reads)


def _model(config: TrainConfig, start: Start) -> JointModel:
    if config.lora:
        add_adapters(start.model, config.lora)
    if config.gradient_checkpointing:
        start.model.activation_checkpointing_enable({"use_reentrant": False})
    return JointModel(start.model, config.weights, start.output)


def _encoder(config: TrainConfig, tokenizer: PreTrainedTokenizerBase) -> Encoder:
    limit = tokenizer.model_max_length
    return Encoder(tokenizer, max_tokens=min(config.max_length or limit, limit), pad_id=None)


def _fitting(config: TrainConfig, data: Data, encoder: Encoder, counts: Counter[str]) -> Data:
    """Rows that fit, and of those held out as many as are looked at.

    Raises:
        StageError: there are none to train on, or none to evaluate on though that is asked for.
    """
    if not data.rows:
        raise StageError("there are no rows to train on: the training split of the pairs is empty")
    pairs_only = data.with_rejected and not config.weights.lm
    rows = data.rows
    if not data.with_rejected:
        rows = [replace(row, rejected=()) for row in rows]
    rows = fitting(rows, encoder, counts, pairs_only=pairs_only, desc="training rows")
    if not config.eval_steps:
        return replace(data, rows=rows, held_out=[])
    if not data.held_out:
        raise StageError("eval_steps is set and nothing is held out: set it to 0, or hold out")
    count = min(config.max_eval_samples, len(data.held_out))
    drawn = random.Random(config.seed).sample(data.held_out, count)
    unranked: Counter[str] = Counter()
    held_out = fitting(drawn, encoder, unranked, pairs_only=True, desc="held-out rows")
    counts.update({f"held out: {reason}": count for reason, count in unranked.items()})
    return replace(data, rows=rows, held_out=held_out)
