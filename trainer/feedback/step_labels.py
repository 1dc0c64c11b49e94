"""Values of prefixes -> step labels, in files that step reward models are trained on."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from trainer.feedback.pass_count import PassCount, read_pass_counts
from trainer.feedback.prefix_values import PrefixValue, prefix_values, wilson
from trainer.feedback.prefixes import Prefix, read_prefixes
from trainer.feedback.sample import Sample, read_samples
from trainer.pairs.row import SPLITS
from trainer.pairs.split import HoldOut
from trainer.pipeline.shards import read_shards, write_shards
from trainer.pipeline.stage import StageError, writing_stage

STEM = "steps"


@dataclass(frozen=True, kw_only=True)
class StepLabelsConfig(HoldOut):
    """How values become labels. Problems are held out, and limits count answers.

    Attributes:
        passes: stage of the pass counts of `samples`, which label the last step.
        completion_passes: stage of the pass counts of `completions`.
        min_completions: a step end with fewer labelled completions has no label: it is joined with
            the next step.
        threshold: a step is right if the value at its end is at least this. Math-Shepherd's hard
            labels (arXiv 2312.08935) are those of any threshold just above 0.
        end_threshold: the same for the last step, whose value is what the answer itself passes.
        mask_after_error: whether steps after the first wrong one have no label. What is written
            after an error is neither right nor wrong on its own. Only an answer that passes in the
            end keeps its last label, so that it is not taken for a wrong one.
        min_steps: answers with fewer steps are left out.
    """

    samples: str = "samples"
    passes: str = "votes"
    prefixes: str = "prefixes"
    completions: str = "completions"
    completion_passes: str = "completion_votes"
    min_completions: int = 3
    threshold: float = 0.5
    end_threshold: float = 1.0
    mask_after_error: bool = True
    min_steps: int = 2


@dataclass(frozen=True)
class StepLabels:
    """An answer in steps with a label for each; joined by line ends, the steps are the answer.

    The columns `prompt`, `completions` and `labels` are those of TRL's stepwise supervision.

    Attributes:
        id: of the sample.
        group: the problem, unit of hold-out.
        completions: the steps.
        labels: whether each is right; None where there is no label.
        soft_labels: values of the steps that have a label; None for the others.
        values: of all step ends, also of those after an error; None where not known. The last one
            is the share of tests that the answer itself passes.
        lows, highs: 95 % intervals of the values.
        numbers: of how many completions each value is the mean.
        first_error: index of the first wrong step; None if there is none.
        source: where the labels come from.
    """

    id: str
    group: str
    prompt: str
    completions: tuple[str, ...]
    labels: tuple[bool | None, ...]
    soft_labels: tuple[float | None, ...]
    values: tuple[float | None, ...]
    lows: tuple[float | None, ...]
    highs: tuple[float | None, ...]
    numbers: tuple[int, ...]
    first_error: int | None
    source: str = "completions"


@dataclass(frozen=True)
class StepEnd:
    """What is known at the end of a step: nothing, if `value` is None."""

    value: float | None
    low: float | None = None
    high: float | None = None
    number: int = 0


def run(config: StepLabelsConfig, inputs: Path, output: Path) -> None:
    """Read values of prefixes and what their samples pass; write labelled steps of each split.

    `steps-<split>-*.jsonl` has everything, `trl-<split>.jsonl` the columns of TRL, and
    `process_bench-<split>.jsonl` those of ProcessBench, to measure a step reward model.
    """
    prefixes = read_prefixes(inputs / config.prefixes)
    completions = read_samples(inputs / config.completions)
    passes = read_pass_counts(inputs / config.completion_passes)
    counts: Counter[str] = Counter()
    values = prefix_values(prefixes, completions, passes, config.min_completions, counts)
    ends: dict[str, list[tuple[Prefix, PrefixValue]]] = defaultdict(list)
    for prefix in prefixes:
        for sample in prefix.samples if prefix.id in values else ():
            ends[sample].append((prefix, values[prefix.id]))
    outcomes = {each.sample: each for each in read_pass_counts(inputs / config.passes)}
    samples = read_samples(inputs / config.samples)
    labelled = [
        label_sample(sample, ends[sample.id], outcomes.get(sample.id), config, counts)
        for sample in tqdm(samples, desc="step labels", unit=" answers")
        if sample.id in ends
    ]
    counts["answer: without a valued prefix"] = len(samples) - len(labelled)
    reads = [config.samples, config.passes, config.prefixes]
    reads += [config.completions, config.completion_passes]
    write_step_labels(config, labelled, counts, [inputs / name for name in reads], output)


def label_sample(
    sample: Sample,
    ends: Iterable[tuple[Prefix, PrefixValue]],
    outcome: PassCount | None,
    config: StepLabelsConfig,
    counts: Counter[str],
) -> StepLabels:
    """The labelled steps of one sample, cut at the prefixes that have a value."""
    steps: list[str] = []
    known: list[StepEnd] = []
    start = 0
    for prefix, value in sorted(ends, key=lambda each: len(each[0].text)):
        # Steps are joined by one line end each, so a step ends before one.
        end = len(prefix.text) - prefix.text.endswith("\n")
        rest = sample.text[end:].split("\n", 1)[0]
        end += len(rest)
        if rest.strip() or end >= len(sample.text) or end <= start:
            counts["step end: within a line, joined with the next step"] += 1
            continue
        steps.append(sample.text[start:end])
        known.append(StepEnd(value.value, value.low, value.high, value.completions))
        start = end + 1
    steps.append(sample.text[start:])
    if outcome is None or outcome.total == 0:
        counts["answer: without a label of its own"] += 1
        known.append(StepEnd(None))
    else:
        share = outcome.passed / outcome.total
        known.append(StepEnd(share, *wilson(share, 1), 1))
    return label_steps(sample.id, sample.problem, sample.prompt, steps, known, config)


def label_steps(
    name: str,
    group: str,
    prompt: str,
    steps: Sequence[str],
    ends: Sequence[StepEnd],
    config: StepLabelsConfig,
) -> StepLabels:
    """Steps with the labels that follow from the values at their ends."""
    thresholds = [config.threshold] * (len(ends) - 1) + [config.end_threshold]
    labels: list[bool | None] = [
        # Means of fractions may be off in the last bit.
        None if end.value is None else end.value >= threshold - 1e-9
        for end, threshold in zip(ends, thresholds, strict=True)
    ]
    first_error = labels.index(False) if False in labels else None
    if first_error is not None and config.mask_after_error:
        recovers = labels[-1]
        labels[first_error + 1 :] = [None] * (len(labels) - first_error - 1)
        if recovers:
            labels[-1] = True
    return StepLabels(
        id=name,
        group=group,
        prompt=prompt,
        completions=tuple(steps),
        labels=tuple(labels),
        soft_labels=tuple(
            None if label is None else end.value for end, label in zip(ends, labels, strict=True)
        ),
        values=tuple(end.value for end in ends),
        lows=tuple(end.low for end in ends),
        highs=tuple(end.high for end in ends),
        numbers=tuple(end.number for end in ends),
        first_error=first_error,
    )


def write_step_labels(
    config: StepLabelsConfig,
    labelled: Iterable[StepLabels],
    counts: Counter[str],
    reads: Iterable[Path],
    output: Path,
) -> None:
    """Hold problems out, and write the files of each split.

    Raises:
        StageError: no answer has labelled steps.
    """
    splits: dict[str, list[StepLabels]] = {split: [] for split in SPLITS}
    for row in labelled:
        split = config.split_of(row.group)
        if len(row.completions) < config.min_steps:
            counts["answer: too few steps"] += 1
        elif all(label is None for label in row.labels):
            counts["answer: no step has a label"] += 1
        elif config.is_full(split, len(splits[split])):
            counts[f"answer: {split} over the limit"] += 1
        else:
            splits[split].append(row)
    if not any(splits.values()):
        raise StageError(
            f"no answer has labelled steps ({dict(+counts)}): draw more completions of more "
            "prefixes, or lower min_completions"
        )
    with writing_stage(config, output, reads=reads) as draft:
        for split, rows in splits.items():
            write_shards(draft.path, f"{STEM}-{split}", rows, config.rows_per_shard)
            if rows:
                write_trl(draft.path / f"trl-{split}.jsonl", rows)
                write_process_bench(draft.path / f"process_bench-{split}.jsonl", rows)
            counts[f"{split}: answers"] = len(rows)
            for row in rows:
                wrong = row.first_error is not None
                counts[f"{split}: answers with an error"] += wrong
                counts[f"{split}: answers that pass after an error"] += wrong and bool(
                    row.labels[-1]
                )
                counts[f"{split}: steps right"] += row.labels.count(True)
                counts[f"{split}: steps wrong"] += row.labels.count(False)
                counts[f"{split}: steps without a label"] += row.labels.count(None)
        draft.facts["counts"] = dict(sorted((+counts).items()))


def write_trl(file: Path, rows: Iterable[StepLabels]) -> None:
    """Write TRL's stepwise supervision, whose every step needs a label.

    An answer is cut before the first step without one, which follows an error or is an end that
    nobody could judge: the label of a step depends on nothing that comes later.
    """
    with file.open("w", encoding="utf-8") as stream:
        for row in rows:
            known = row.labels.index(None) if None in row.labels else len(row.labels)
            record = {
                "prompt": row.prompt,
                "completions": row.completions[:known],
                "labels": row.labels[:known],
            }
            stream.write(json.dumps(record) + "\n")


def write_process_bench(file: Path, rows: Iterable[StepLabels]) -> None:
    """Write the rows that can be judged in the shape of ProcessBench, which `evaluate` reads.

    An answer without an error needs a label for each step, and one with an error may not pass.
    """
    with file.open("w", encoding="utf-8") as stream:
        for row in rows:
            whole = None not in row.labels and row.first_error is None
            if whole or (row.first_error is not None and not row.labels[-1]):
                record = {
                    "id": row.id,
                    "problem": row.prompt,
                    "steps": row.completions,
                    "label": -1 if row.first_error is None else row.first_error,
                }
                stream.write(json.dumps(record) + "\n")


def read_step_labels(folder: Path, split: str) -> list[StepLabels]:
    """All answers of one split of a finished stage."""
    return read_shards(folder, f"{STEM}-{split}", StepLabels)
