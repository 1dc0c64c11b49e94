"""A training stage from its config and rows to its checkpoint, be it pretraining or finetuning."""

import random
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TypeVar

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.trainer_callback import ProgressCallback

from reward_model.release.config import facts_of
from reward_model.release.manifest import Criterion
from reward_model.text.chat import Unencodable
from reward_model.text.criteria import require_system_turns
from reward_model.text.encoding import Encoder
from trainer.pairs.criteria import Criteria, criteria_for, read_criteria, shown, write_criteria
from trainer.pairs.encoded import EncodedRow, encode_rows
from trainer.pairs.row import PreferenceRow
from trainer.pipeline.lineage import is_stage
from trainer.pipeline.stage import StageError, manifest_hash, writing_stage
from trainer.preferences.doctor import doctor
from trainer.preferences.doctor.check_model import ModelFacts
from trainer.preferences.doctor.findings import Findings, report
from trainer.training.config import LoopConfig, TrainConfig
from trainer.training.loop import checkpoints, processes
from trainer.training.loop.arguments import arguments, log_writers
from trainer.training.loop.checkpoints import CheckpointKeeper, Identity
from trainer.training.loop.finished import FinishedRun, WriteAfterLastStep
from trainer.training.loop.held_out import HeldOut, RankedRow
from trainer.training.loop.progress import TrainingBar
from trainer.training.loop.schedule import Schedule, schedule_of
from trainer.training.loop.trainer import PackedTrainer
from trainer.training.objective.batches import Collator
from trainer.training.objective.fitting import fitting
from trainer.training.objective.joint import JointModel
from trainer.training.weights.export import export
from trainer.training.weights.lora import add_adapters
from trainer.training.weights.origin import origin_of
from trainer.training.weights.rehearsal import rehearse
from trainer.training.weights.start import Start, find, load_start, longest

R = TypeVar("R", bound=RankedRow)


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
        criteria = criteria_of(config, data, folder, start)
        encoded = encoded_under(criteria, data.rows, encoder, "training rows")
        findings = None
        if examined:
            findings = examine(config, data, criteria, encoded, start, model, encoder)

        # A language-model loss learns from a chosen answer by itself; a ranking loss does not.
        counts: Counter[str] = Counter()
        rows = fitting(encoded, counts, pairs_only=not config.weights.lm)
        schedule = schedule_of(config, len(rows))
        held_out = draw_held_out(config, schedule, data.held_out, criteria, encoder, counts)
        identity = Identity.of(config, {read.name: manifest_hash(read) for read in reads})
        finished = FinishedRun(output, identity, only_adapters=config.lora is not None)
        if finished.exists():
            # Otherwise the main process could be through before another one has looked.
            processes.join()
            processes.wait()
            if main:
                print(f"{output.name}: its last step is done, only the export is not", flush=True)
        else:
            if main:
                rehearse(config, folder, start, model, output)
            collator = Collator(data.lm_on_prompt)
            trainer = trainer_of(
                config, model, start.model, rows, held_out, collator, schedule, output
            )
            take_steps(config, trainer, schedule, identity, finished, inputs, output)
            del trainer  # with the states of its optimizer, before weights are read and merged
        if draft:
            state, log = finished.read()
            export(config, folder, start, state, draft.path)
            write_criteria(criteria, draft.path)
            draft.facts |= {"doctor": findings.facts()} if findings else {}
            draft.facts |= {"left_out": dict(counts), "steps": schedule.total}
            if criteria:
                trained = Counter(row.aspect for row in data.rows)
                draft.facts["rows_by_criterion"] = {name: trained[name] for name in criteria}
            draft.facts["pad_token"] = {**asdict(start.pad), "added_rows": start.added_rows}
            # A resumed run encodes the same rows on another day, because templates see this date.
            day = encoder.template_date
            draft.facts["template_date"] = day.isoformat() if day else None
            if not is_stage(inputs, config.start):
                draft.facts["base"] = asdict(origin_of(config.start, folder))
            draft.facts["log"] = log
    delete_progress(config, finished, schedule, output)


def delete_progress(
    config: LoopConfig, finished: FinishedRun, schedule: Schedule, output: Path
) -> None:
    """Delete what an interrupted run would resume from, once the stage's folder is whole."""
    # Deleting earlier would lose the run if it were killed here.
    if processes.is_main():
        finished.delete()
        checkpoints.clear(output, schedule, keep_branch_points=config.branch_points)
    processes.wait()


def trainer_of(
    config: LoopConfig,
    model: nn.Module,
    network: PreTrainedModel,
    rows: list[R],
    held_out: HeldOut[R] | None,
    collator: Callable[[list[R]], Mapping[str, object]],
    schedule: Schedule,
    output: Path,
) -> PackedTrainer:
    """The loop over `rows`, in this process's part of the run.

    Args:
        network: the part of `model` that transformers made.
        collator: makes `{"batch": ...}` of rows.
    """
    evaluated = config if held_out else replace(config, eval_steps=0)
    trainer = PackedTrainer(
        config=config,
        model=model,
        args=arguments(evaluated, schedule, checkpoints.folder_of(output), network),
        train_dataset=rows,
        eval_dataset=held_out.rows if held_out else None,
        data_collator=collator,
        held_out=held_out,
    )
    if trainer.pop_callback(ProgressCallback):  # there is none where progress bars are disabled
        trainer.add_callback(TrainingBar())
    return trainer


def take_steps(
    config: LoopConfig,
    trainer: PackedTrainer,
    schedule: Schedule,
    identity: Identity,
    finished: FinishedRun,
    inputs: Path,
    output: Path,
) -> None:
    """Take the steps that are left, and write the last weights and the log to `finished`."""
    # A branch that was interrupted resumes its own checkpoint, not the one it branched from.
    checkpoint = checkpoints.to_resume(output, identity)
    if checkpoint is None and (branch := config.branch_from):
        checkpoint = checkpoints.to_branch(branch, inputs, identity)
    trainer.add_callback(CheckpointKeeper(config, schedule, identity))
    trainer.add_callback(WriteAfterLastStep(trainer, finished))
    for writer in log_writers(config, output, checkpoints.step_of(checkpoint)):
        trainer.add_callback(writer)
    trainer.train(str(checkpoint) if checkpoint else None)
    if processes.is_main():
        finished.write_log(trainer.state.log_history)


def diagnose(config: TrainConfig, data: TrainingData, inputs: Path) -> None:
    """Print the doctor's findings about what `train` would read; nothing is trained or written.

    Raises:
        StageError: training would be worthless, or its figures wrong.
    """
    folder = find(config.start, inputs)
    start, model, encoder = load(config, folder)
    criteria = criteria_of(config, data, folder, start)
    encoded = encoded_under(criteria, data.rows, encoder, "training rows")
    examine(config, data, criteria, encoded, start, model, encoder)


def criteria_of(
    config: TrainConfig, data: TrainingData, folder: Path, start: Start
) -> dict[str, Criterion]:
    """The criteria that the rows of a run are shown.

    Raises:
        StageError: a row is of none of them, or the chat template shows no system turns.
    """
    rows = [*data.rows, *data.held_out]
    criteria = criteria_for(config.criteria, read_criteria(folder), rows)
    if criteria:
        try:
            require_system_turns(start.tokenizer)
        except Unencodable as error:
            raise StageError(f"{config.start}: {error}") from error
    return criteria


def encoded_under(
    criteria: Criteria, rows: list[PreferenceRow], encoder: Encoder, desc: str
) -> list[EncodedRow]:
    """The rows as token ids, each with the prompt of its criterion."""
    return encode_rows([shown(row, criteria) for row in rows], encoder, desc)


def examine(
    config: TrainConfig,
    data: TrainingData,
    criteria: Criteria,
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
        data.rows,
        encoded,
        data.held_out,
        encoder,
        facts,
        criteria=criteria,
        evaluates=bool(config.eval_steps),
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
        chat_template=config.chat_template,
    )
    if processes.is_main():
        for note in start.notes:
            print(f"{config.start}: {note}", flush=True)
    if config.lora:
        # Their random weights are the same in every process and in every run of this config.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            add_adapters(start.model, config.lora)
    if config.gradient_checkpointing:
        start.model.activation_checkpointing_enable({"use_reentrant": False})
    limit = longest(start.tokenizer, facts_of(start.model.config).max_tokens, config.max_length)
    encoder = Encoder(start.tokenizer, max_tokens=limit, pad_id=None)
    return start, JointModel(start.model, config.weights, start.output), encoder


def draw_held_out(
    config: TrainConfig,
    schedule: Schedule,
    rows: list[PreferenceRow],
    criteria: Criteria,
    encoder: Encoder,
    counts: Counter[str],
) -> HeldOut[EncodedRow] | None:
    """Held-out rows for the evaluations, drawn at random; None when there are no evaluations.

    Raises:
        StageError: evaluations are asked for at certain steps, and no row can be ranked.
    """
    if not config.eval_steps:
        return None
    drawn = draw(config, schedule, rows)
    unranked: Counter[str] = Counter()
    encoded = encoded_under(criteria, drawn, encoder, "held-out rows")
    kept = fitting(encoded, unranked, pairs_only=True)
    counts.update({f"held out: {reason}": count for reason, count in unranked.items()})
    return held_out_of(config, kept, Collator().batch, any_drawn=bool(drawn))


def draw(config: LoopConfig, schedule: Schedule, rows: list[R]) -> list[R]:
    """Draw held-out rows at random, as many as one evaluation ranks."""
    wanted = config.max_eval_samples
    if config.eval_steps < 1:
        wanted = min(wanted, max(32, schedule.total * config.prompts_per_step // 20))
    return random.Random(config.seed).sample(rows, min(wanted, len(rows)))


def held_out_of(
    config: LoopConfig, kept: list[R], collate: Callable[[list[R]], object], *, any_drawn: bool
) -> HeldOut[R] | None:
    """The evaluation of drawn rows that can be ranked; None without any.

    Raises:
        StageError: evaluations are asked for at certain steps, and no row can be ranked.
    """
    if not kept:
        absent = "no held-out row fits into the model" if any_drawn else "nothing is held out"
        # A share is the default, which must not refuse stages that hold nothing out.
        if config.eval_steps >= 1:
            raise StageError(f"eval_steps is set and {absent}: set it to 0, or hold out")
        if processes.is_main():
            print(f"{absent}, so no accuracy is measured on the way", flush=True)
        return None
    # Without a backward pass 16 rows need less memory than one training step.
    return HeldOut(kept, collate, min(16, config.prompts_per_step), config.bf16)
