"""Direct preference optimization (arXiv 2305.18290) of a policy on pairs of its own answers."""

from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path

import torch
from transformers import PreTrainedModel

from trainer.feedback.serving import Weights, find_policy, identify
from trainer.pipeline.lineage import is_stage
from trainer.pipeline.stage import StageError, manifest_hash, writing_stage
from trainer.policy.batches import PolicyCollator, References
from trainer.policy.config import DpoConfig
from trainer.policy.data import PolicyData, prepare
from trainer.policy.encoded import EncodedPolicyRow
from trainer.policy.export import export_policy, rehearse_policy
from trainer.policy.model import PolicyModel
from trainer.policy.multi_reference import SecondReference, TwoReferences
from trainer.policy.reference import ReferenceFile, texts_of
from trainer.policy.reference_sums import ReferenceSums
from trainer.policy.sampler_gap import SamplerGap, sampler_gap
from trainer.policy.start import PolicyStart, load_policy
from trainer.policy.token_weight import read_token_weights
from trainer.preferences.doctor.findings import Findings, report
from trainer.training.loop import processes
from trainer.training.loop.checkpoints import Identity
from trainer.training.loop.finished import FinishedRun
from trainer.training.loop.held_out import draw, held_out_of
from trainer.training.loop.schedule import Schedule, schedule_of
from trainer.training.loop.steps import delete_progress, take_steps
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
    processes.join()
    with writing_stage(config, output, reads=reads) if main else nullcontext() as draft:
        quantized = bool(config.lora and config.lora.load_in_4bit)
        start = load_policy(
            folder,
            max_length=config.max_length,
            end_token=config.end_token,
            load_in_4bit=quantized,
        )
        data = prepare(config, inputs, start)
        schedule = schedule_of(config, len(data.trained))
        ranked = draw(config, schedule, data.held_out) if config.eval_steps else []
        base = identify(folder)
        rows = [*data.trained, *ranked]
        collator, gap = _references(config, inputs, output, start, base, rows, data.second)
        findings = Findings((*gap.findings, *data.findings.checks), data.findings.lengths)
        if main:
            print(report(findings), flush=True)
        identity = Identity.of(config, {read.name: manifest_hash(read) for read in reads})
        finished = FinishedRun(output, identity, only_adapters=config.lora is not None)
        if finished.exists():
            # Otherwise the main process could be through before another one has looked.
            processes.wait()
            if main:
                print(f"{output.name}: its last step is done, only the export is not", flush=True)
        else:
            _train(config, inputs, output, start, data, ranked, collator, schedule, finished)
        if draft:
            state, log = finished.read()
            export_policy(config, folder, start, state, draft.path)
            draft.facts |= {"doctor": findings.facts(), "sampler": gap.facts()}
            draft.facts |= {"left_out": dict(data.left_out), "steps": schedule.total}
            draft.facts["rows"] = {"train": len(data.trained), "evaluation": len(ranked)}
            draft.facts |= {"base_weights": base.digest, "template": base.template}
            if not is_stage(inputs, config.start):
                draft.facts["base"] = asdict(origin_of(config.start, folder))
            draft.facts["log"] = log
    delete_progress(config, finished, schedule, output)


def _train(
    config: DpoConfig,
    inputs: Path,
    output: Path,
    start: PolicyStart,
    data: PolicyData,
    ranked: list[EncodedPolicyRow],
    collator: PolicyCollator,
    schedule: Schedule,
    finished: FinishedRun,
) -> None:
    """Take the steps that are left, and write the last weights to `finished`."""
    held_out = None
    if config.eval_steps:
        held_out = held_out_of(config, ranked, collator.batch, any_drawn=bool(ranked))
    model = _model(config, start)
    if processes.is_main():
        rehearse_policy(config, find_policy(config.start, inputs), start, model, output)
    take_steps(
        *(config, model, start.network, data.trained, held_out, collator),
        *(schedule, finished, inputs, output),
    )


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


def _references(
    config: DpoConfig,
    inputs: Path,
    output: Path,
    start: PolicyStart,
    base: Weights,
    rows: list[EncodedPolicyRow],
    second: SecondReference | None,
) -> tuple[PolicyCollator, SamplerGap]:
    """Make the collator with the reference log-probs, and measure the sampler's gap to them.

    Log-probs are read from a file beside the stage, and computed first where it lacks some.
    """
    reference = base
    if config.reference is not None:
        reference = identify(find_policy(config.reference, inputs))
    precision = "bfloat16" if config.bf16 else "float32"
    file = ReferenceFile(output.with_name("reference-log-probs"), reference.digest, precision)

    def network_of() -> PreTrainedModel:
        same = reference.digest == base.digest
        return start.network if same else load_policy(reference.folder).network

    log_probs = file.complete(texts_of(rows), network_of, bf16=config.bf16)
    weights = read_token_weights(inputs / config.token_weights) if config.token_weights else {}
    for answer in (answer for row in rows for answer in row.answers):
        if len(weights.get(answer.id, answer.ids)) != len(answer.ids):
            raise StageError(
                f"{config.token_weights} has {len(weights[answer.id])} weights for answer "
                f"{answer.id}, which has {len(answer.ids)} tokens: make it from these pairs and "
                "with this tokenizer"
            )
    references: References = ReferenceSums(log_probs, weights)
    if second:
        sums = second.sums(rows, output, bf16=config.bf16)
        references = TwoReferences(references, sums, config.second_reference_eta)
    return PolicyCollator(references, weights), sampler_gap(rows, log_probs, reference)
