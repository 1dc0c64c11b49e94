"""Direct preference optimization (arXiv 2305.18290) of a policy on pairs of its own answers."""

from array import array
from collections import Counter
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path

import torch
from transformers import PreTrainedModel

from trainer.feedback.serving import Weights, find_policy, identify
from trainer.pairs.policy_row import PolicyRow, read_policy_rows, swapped_sides
from trainer.pairs.split import HoldOut
from trainer.pipeline.lineage import is_stage
from trainer.pipeline.stage import StageError, manifest_hash, writing_stage
from trainer.policy.batches import PolicyCollator, References
from trainer.policy.config import DpoConfig
from trainer.policy.encoded import EncodedPolicyRow, fitting_rows
from trainer.policy.export import export_policy, rehearse_policy
from trainer.policy.model import PolicyModel
from trainer.policy.multi_reference import SecondReference, TwoReferences
from trainer.policy.reference import ReferenceFile, texts_of
from trainer.policy.reference_sums import ReferenceSums
from trainer.policy.start import PolicyStart, load_policy
from trainer.policy.token_weight import read_token_weights
from trainer.training.loop import checkpoints, processes
from trainer.training.loop.checkpoints import Identity
from trainer.training.loop.finished import FinishedRun
from trainer.training.loop.schedule import schedule_of
from trainer.training.run import draw, held_out_of, take_steps, trainer_of
from trainer.training.weights.lora import add_adapters
from trainer.training.weights.origin import origin_of


def run(config: DpoConfig, inputs: Path, output: Path) -> None:
    """Train, and write the policy with its log. An interrupted run resumes where it was.

    In a distributed run every process calls this, and the main one writes.

    Raises:
        StageError: config, rows, start and processes do not go together.
    """
    folder = find_policy(config.start, inputs)
    named = (config.pairs, *config.replay, config.start, config.reference)
    named = (*named, config.second_reference, config.token_weights)
    reads = [inputs / name for name in named if name is not None and is_stage(inputs, name)]
    main = processes.is_main()
    with writing_stage(config, output, reads=reads) if main else nullcontext() as draft:
        rows = _rows(config, inputs)
        hold_out = HoldOut(evaluation_share=config.evaluation_share, calibration_share=0.0)
        start = load_policy(
            folder,
            max_length=config.max_length,
            end_token=config.end_token,
            load_in_4bit=bool(config.lora and config.lora.load_in_4bit),
        )
        encoded = start.encoder.encode(rows, "pairs")
        split: dict[str, list[EncodedPolicyRow]] = {"train": [], "evaluation": []}
        for row in encoded:
            split[hold_out.split_of(row.group)].append(row)
        counts: Counter[str] = Counter()
        second = None
        if config.second_reference is not None:
            second = SecondReference(config.second_reference, inputs, start.tokenizer, rows)
            split = {name: second.readable(each, counts) for name, each in split.items()}
        trained = fitting_rows(split["train"], start.max_length, counts)
        if not trained:
            raise StageError("every problem is held out: lower evaluation_share")
        schedule = schedule_of(config, len(trained))
        drawn = draw(config, schedule, split["evaluation"]) if config.eval_steps else []
        ranked = fitting_rows(drawn, start.max_length, Counter()) if drawn else []

        identity = Identity.of(config, {read.name: manifest_hash(read) for read in reads})
        finished = FinishedRun(output, identity, only_adapters=config.lora is not None)
        base = identify(folder)
        if finished.exists():
            processes.join()
            processes.wait()
            if main:
                print(f"{output.name}: its last step is done, only the export is not", flush=True)
        else:
            processes.join()
            collator = _collator(config, inputs, output, start, base, [*trained, *ranked], second)
            held_out = None
            if config.eval_steps:
                held_out = held_out_of(config, ranked, collator.batch, any_drawn=bool(drawn))
            model = _model(config, start)
            if main:
                rehearse_policy(config, folder, start, model, output)
            trainer = trainer_of(
                config, model, start.network, trained, held_out, collator, schedule, output
            )
            take_steps(config, trainer, schedule, identity, finished, inputs, output)
            del trainer  # with the states of its optimizer, before weights are read and merged
        if draft:
            state, log = finished.read()
            export_policy(config, folder, start, state, draft.path)
            draft.facts |= {"left_out": dict(counts), "steps": schedule.total}
            draft.facts["rows"] = {"train": len(trained), "evaluation": len(ranked)}
            draft.facts["base_weights"] = base.digest
            draft.facts["template"] = base.template
            if not is_stage(inputs, config.start):
                draft.facts["base"] = asdict(origin_of(config.start, folder))
            draft.facts["log"] = log
    # The stage is whole now. Deleting earlier would lose the run if it were killed here.
    if main:
        finished.delete()
        checkpoints.clear(output, schedule, keep_branch_points=config.branch_points)
    processes.wait()


def _rows(config: DpoConfig, inputs: Path) -> list[PolicyRow]:
    """All pairs that the config names, the wrong way round if it says so."""
    stages = (config.pairs, *config.replay)
    rows = [row for name in stages for row in read_policy_rows(inputs / name)]
    if not rows:
        raise StageError(f"there are no pairs to train on: {config.pairs} is empty")
    if config.swap_sides:
        return [swapped for row in rows for swapped in swapped_sides(row)]
    return rows


def _model(config: DpoConfig, start: PolicyStart) -> PolicyModel:
    """The policy as it is trained, with adapters if the config has any."""
    if config.lora:
        # Their random weights are the same in every process and in every run of this config.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            add_adapters(start.network, config.lora, trained=())
    if config.gradient_checkpointing:
        start.network.activation_checkpointing_enable({"use_reentrant": False})
    return PolicyModel(
        start.network,
        config.losses,
        beta=config.beta,
        label_smoothing=config.label_smoothing,
    )


def _collator(
    config: DpoConfig,
    inputs: Path,
    output: Path,
    start: PolicyStart,
    base: Weights,
    rows: list[EncodedPolicyRow],
    second: SecondReference | None,
) -> PolicyCollator:
    """Packs rows with their reference log-probs and token weights."""
    weights = read_token_weights(inputs / config.token_weights) if config.token_weights else {}
    log_probs = _reference(config, inputs, output, start, base, rows)
    references: References = ReferenceSums(log_probs, weights)
    if second:
        sums = second.sums(rows, output, bf16=config.bf16)
        references = TwoReferences(references, sums, config.second_reference_eta)
    return PolicyCollator(references, weights)


def _reference(
    config: DpoConfig,
    inputs: Path,
    output: Path,
    start: PolicyStart,
    base: Weights,
    rows: list[EncodedPolicyRow],
) -> dict[str, "array[float]"]:
    """Log-probs of every answer under the reference policy, by `text_key`.

    They are read from a file beside the stage, and computed first where it lacks some.
    """
    weights = base
    if config.reference is not None:
        weights = identify(find_policy(config.reference, inputs))
    precision = "bfloat16" if config.bf16 else "float32"
    file = ReferenceFile(output.with_name("reference-log-probs"), weights.digest, precision)

    def network_of() -> PreTrainedModel:
        same = weights.digest == base.digest
        return start.network if same else load_policy(weights.folder).network

    return file.complete(texts_of(rows), network_of, bf16=config.bf16)
