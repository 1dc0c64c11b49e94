"""A training stage from its config and rows to its checkpoint, be it pretraining or finetuning."""

import random
from collections import Counter
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path

from reward_model.text.encoding import Encoder
from trainer.pairs.encoded import EncodedRow, encode_rows
from trainer.pairs.row import PreferenceRow
from trainer.pipeline.lineage import is_stage
from trainer.pipeline.stage import StageError, manifest_hash, writing_stage
from trainer.preferences.doctor import doctor
from trainer.preferences.doctor.check_model import ModelFacts
from trainer.preferences.doctor.findings import Findings, report
from trainer.training.config import TrainConfig
from trainer.training.loop import checkpoints, processes
from trainer.training.loop.arguments import arguments, log_writers
from trainer.training.loop.checkpoints import CheckpointKeeper, Identity
from trainer.training.loop.held_out import HeldOut
from trainer.training.loop.schedule import schedule_of
from trainer.training.loop.trainer import PackedTrainer
from trainer.training.objective.batches import Collator
from trainer.training.objective.fitting import fitting
from trainer.training.objective.joint import JointModel
from trainer.training.weights.export import export
from trainer.training.weights.lora import add_adapters
from trainer.training.weights.start import Start, find, load_start


@dataclass(frozen=True)
class TrainingData:
    """Rows for a training stage.

    Attributes:
        rows: rows to train on.
        held_out: rows to rank during training, none of them among `rows`.
        stages: folders of the stages that the rows are from.
        lm_on_prompt: whether the language-model loss covers prompts, too.
    """

    rows: list[PreferenceRow]
    held_out: list[PreferenceRow]
    stages: list[Path]
    lm_on_prompt: bool = False


def train(
    config: TrainConfig, data: TrainingData, inputs: Path, output: Path, *, examined: bool = False
) -> None:
    """Train, and write a checkpoint with its log. An interrupted run resumes where it was.

    In a distributed run every process calls this, and the main one writes.

    Args:
        examined: let the doctor examine the rows and the model first.

    Raises:
        StageError: config, rows, start and processes do not go together.
    """
    folder = find(config.start, inputs)
    reads = [*data.stages, *([folder] if is_stage(inputs, config.start) else [])]
    main = processes.is_main()
    with writing_stage(config, output, reads=reads) if main else nullcontext() as draft:
        start, model, encoder = load(config, folder)
        if not data.rows:
            raise StageError("there are no rows to train on: the pairs' training split is empty")
        encoded = encode_rows(data.rows, encoder, "training rows")
        findings = examine(config, data, encoded, start, model, encoder) if examined else None

        # A language-model loss learns from a chosen answer by itself; a ranking loss does not.
        counts: Counter[str] = Counter()
        rows = fitting(encoded, counts, pairs_only=not config.weights.lm)
        held_out = draw_held_out(config, data.held_out, encoder, counts)

        schedule = schedule_of(config, len(rows))
        identity = Identity.of(config, {read.name: manifest_hash(read) for read in reads})
        # A branch that was interrupted resumes its own checkpoint, not the one it branched from.
        checkpoint = checkpoints.to_resume(output, identity)
        if checkpoint is None and (branch := config.branch_from):
            checkpoint = checkpoints.to_branch(branch, inputs, identity)
        trainer = PackedTrainer(
            config=config,
            model=model,
            args=arguments(config, schedule, checkpoints.folder_of(output), model.network),
            train_dataset=rows,
            eval_dataset=held_out.rows if held_out else None,
            data_collator=Collator(data.lm_on_prompt),
            held_out=held_out,
            callbacks=[
                CheckpointKeeper(config, schedule, identity),
                *log_writers(config, output, checkpoints.step_of(checkpoint)),
            ],
        )
        trainer.train(str(checkpoint) if checkpoint else None)
        assert trainer.model is not None
        # All processes take part in gathering the weights; only the main one gets them.
        state = processes.whole_state(trainer.model)
        if draft:
            export(config, folder, start, state, draft.path)
            draft.facts |= {"doctor": findings.facts()} if findings else {}
            draft.facts |= {"left_out": dict(counts), "steps": schedule.total}
            draft.facts["pad_token"] = {**asdict(start.pad), "added_rows": start.added_rows}
            draft.facts["log"] = trainer.state.log_history
    # The stage is whole now. Deleting earlier would lose the run if it were killed here.
    if main:
        checkpoints.clear(output, schedule, keep_branch_points=config.branch_points)
    processes.wait()


def diagnose(config: TrainConfig, data: TrainingData, inputs: Path) -> None:
    """Print the doctor's findings about what `train` would read; nothing is trained or written.

    Raises:
        StageError: training would be worthless, or its figures wrong.
    """
    start, model, encoder = load(config, find(config.start, inputs))
    encoded = encode_rows(data.rows, encoder, "training rows")
    examine(config, data, encoded, start, model, encoder)


def examine(
    config: TrainConfig,
    data: TrainingData,
    encoded: list[EncodedRow],
    start: Start,
    model: JointModel,
    encoder: Encoder,
) -> Findings:
    """Let the doctor examine rows and model, and print its report once.

    Raises:
        StageError: training would be worthless, or its figures wrong.
    """
    facts = ModelFacts(
        tokenizer=start.tokenizer,
        head_trainable=all(weight.requires_grad for weight in model.head.parameters()),
        pad_id=start.model.config.pad_token_id,
        templates=start.templates,
    )
    findings = doctor.examine(
        data.rows, encoded, data.held_out, encoder, facts, evaluates=bool(config.eval_steps)
    )
    if processes.is_main():
        print(report(findings))
    findings.refuse()
    return findings


def load(config: TrainConfig, folder: Path) -> tuple[Start, JointModel, Encoder]:
    """The checkpoint to start from, what is trained of it, and its encoder."""
    start = load_start(
        folder,
        seed=config.seed,
        with_lm=config.weights.lm > 0,
        load_in_4bit=bool(config.lora and config.lora.load_in_4bit),
        end_token=config.end_token,
    )
    if processes.is_main():
        for note in start.notes:
            print(f"{config.start}: {note}", flush=True)
    if config.lora:
        add_adapters(start.model, config.lora)
    if config.gradient_checkpointing:
        start.model.activation_checkpointing_enable({"use_reentrant": False})
    # `max_length` may shorten what the model takes, never exceed it.
    limit = start.tokenizer.model_max_length
    encoder = Encoder(
        start.tokenizer, max_tokens=min(config.max_length or limit, limit), pad_id=None
    )
    return start, JointModel(start.model, config.weights, start.output), encoder


def draw_held_out(
    config: TrainConfig, rows: list[PreferenceRow], encoder: Encoder, counts: Counter[str]
) -> HeldOut | None:
    """Held-out rows for the evaluations, drawn at random; None when there are no evaluations."""
    if not config.eval_steps:
        return None
    if not rows:
        raise StageError("eval_steps is set and nothing is held out: set it to 0, or hold out")
    drawn = random.Random(config.seed).sample(rows, min(config.max_eval_samples, len(rows)))
    unranked: Counter[str] = Counter()
    kept = fitting(encode_rows(drawn, encoder, "held-out rows"), unranked, pairs_only=True)
    counts.update({f"held out: {reason}": count for reason, count in unranked.items()})
    # Without a backward pass 16 rows need less memory than one training step.
    return HeldOut(kept, min(16, config.prompts_per_step), config.bf16)
