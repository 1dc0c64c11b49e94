"""A training stage from its config and rows to its checkpoint, be it pretraining or finetuning."""

from collections import Counter
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

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
from trainer.training.config import TrainConfig
from trainer.training.loop import processes
from trainer.training.loop.checkpoints import Identity
from trainer.training.loop.finished import FinishedRun
from trainer.training.loop.held_out import HeldOut, draw, held_out_of
from trainer.training.loop.schedule import Schedule, schedule_of
from trainer.training.loop.steps import delete_progress, take_steps
from trainer.training.objective.batches import Collator
from trainer.training.objective.fitting import fitting
from trainer.training.objective.joint import JointModel
from trainer.training.weights.export import export
from trainer.training.weights.lora import add_adapters
from trainer.training.weights.origin import origin_of
from trainer.training.weights.rehearsal import rehearse
from trainer.training.weights.start import Start, find, load_start, longest


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


@dataclass(frozen=True)
class Prepared:
    """The model of a run with its encoder, and the rows that it is trained on as token ids.

    Attributes:
        criteria: of rows with an aspect; each such row is encoded with its criterion's prompt.
    """

    start: Start
    model: JointModel
    encoder: Encoder
    criteria: Criteria
    encoded: list[EncodedRow]


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
        prepared = prepare(config, data, inputs)
        start, model, encoder = prepared.start, prepared.model, prepared.encoder
        if not data.rows:
            raise StageError("there are no rows to train on: the pairs' training split is empty")
        findings = examine(config, data, prepared) if examined else None
        # A language-model loss learns from a chosen answer by itself; a ranking loss does not.
        counts: Counter[str] = Counter()
        rows = fitting(prepared.encoded, counts, pairs_only=not config.weights.lm)
        schedule = schedule_of(config, len(rows))
        held_out = draw_held_out(config, schedule, data.held_out, prepared, counts)
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
            take_steps(
                *(config, model, start.model, rows, held_out, collator),
                *(schedule, finished, inputs, output),
            )
        if draft:
            state, log = finished.read()
            export(config, folder, start, state, draft.path)
            write_criteria(prepared.criteria, draft.path)
            draft.facts |= {"doctor": findings.facts()} if findings else {}
            draft.facts |= {"left_out": dict(counts), "steps": schedule.total}
            if prepared.criteria:
                trained = Counter(row.aspect for row in data.rows)
                draft.facts["rows_by_criterion"] = {n: trained[n] for n in prepared.criteria}
            draft.facts["pad_token"] = {**asdict(start.pad), "added_rows": start.added_rows}
            # A resumed run encodes the same rows on another day, because templates see this date.
            day = encoder.template_date
            draft.facts["template_date"] = day.isoformat() if day else None
            if not is_stage(inputs, config.start):
                draft.facts["base"] = asdict(origin_of(config.start, folder))
            draft.facts["log"] = log
    delete_progress(config, finished, schedule, output)


def diagnose(config: TrainConfig, data: TrainingData, inputs: Path) -> None:
    """Print the doctor's findings about what `train` would read; nothing is trained or written.

    Raises:
        StageError: training would be worthless, or its figures wrong.
    """
    examine(config, data, prepare(config, data, inputs))


def prepare(config: TrainConfig, data: TrainingData, inputs: Path) -> Prepared:
    """Load the start, and encode the rows for it.

    Raises:
        StageError: the start cannot be loaded, or a row is of no criterion that is known.
    """
    folder = find(config.start, inputs)
    start, model, encoder = load(config, folder)
    criteria = criteria_of(config, data, folder, start)
    rows = [shown(row, criteria) for row in data.rows]
    return Prepared(start, model, encoder, criteria, encode_rows(rows, encoder, "training rows"))


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


def examine(config: TrainConfig, data: TrainingData, prepared: Prepared) -> Findings:
    """Let the doctor examine rows and model, and print its report once.

    Raises:
        StageError: training would be worthless, or its figures wrong.
    """
    start = prepared.start
    facts = ModelFacts(
        tokenizer=start.tokenizer,
        head_trainable=all(weight.requires_grad for weight in prepared.model.head.parameters()),
        pad_id=start.model.config.pad_token_id,
        templates=start.templates,
    )
    findings = doctor.examine(
        data.rows,
        prepared.encoded,
        data.held_out,
        prepared.encoder,
        facts,
        criteria=prepared.criteria,
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
    prepared: Prepared,
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
    asked = [shown(row, prepared.criteria) for row in drawn]
    encoded = encode_rows(asked, prepared.encoder, "held-out rows")
    kept = fitting(encoded, unranked, pairs_only=True)
    counts.update({f"held out: {reason}": count for reason, count in unranked.items()})
    return held_out_of(config, kept, Collator().batch, any_drawn=bool(drawn))
