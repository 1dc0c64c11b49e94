"""Values of prefixes -> step labels, in files that step reward models are trained on."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from trainer.feedback.pass_count import PassCount, read_pass_counts
from trainer.feedback.prefix_values import PrefixValue, prefix_values, wilson
from trainer.feedback.prefixes import Prefix, read_prefixes
from trainer.feedback.problem import read_problems
from trainer.feedback.sample import Sample, read_samples
from trainer.feedback.step_files import StepFilesConfig, StepLabels, write_step_labels
from trainer.pipeline.progress import ProgressBar
from trainer.pipeline.stage import StageError


@dataclass(frozen=True, kw_only=True)
class StepLabelsConfig(StepFilesConfig):
    """How values become labels.

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
    """

    problems: str = "problems"
    samples: str = "samples"
    passes: str = "votes"
    prefixes: str = "prefixes"
    completions: str = "completions"
    completion_passes: str = "votes_completions"
    min_completions: int = 3
    threshold: float = 0.5
    end_threshold: float = 1.0
    mask_after_error: bool = True


@dataclass(frozen=True)
class StepEnd:
    """What is known at the end of a step: nothing, if `value` is None."""

    value: float | None
    low: float | None = None
    high: float | None = None
    number: int = 0


def run(config: StepLabelsConfig, inputs: Path, output: Path) -> None:
    """Read values of prefixes and what their samples pass; write labelled steps of each split."""
    prefixes = read_prefixes(inputs / config.prefixes)
    completions = read_samples(inputs / config.completions)
    passes = read_pass_counts(inputs / config.completion_passes)
    counts: Counter[str] = Counter()
    values = prefix_values(prefixes, completions, passes, config.min_completions, counts)
    ends: dict[str, list[tuple[Prefix, PrefixValue]]] = defaultdict(list)
    for prefix in prefixes:
        for sample in prefix.samples if prefix.id in values else ():
            ends[sample].append((prefix, values[prefix.id]))
    groups = {problem.id: problem.group for problem in read_problems(inputs / config.problems)}
    outcomes = {each.sample: each for each in read_pass_counts(inputs / config.passes)}
    samples = read_samples(inputs / config.samples)
    if strays := {sample.problem for sample in samples} - groups.keys():
        raise StageError(
            f"the problem {min(strays)} of {config.samples} is not in {config.problems}: name the "
            "stage of problems that were sampled"
        )
    labelled = [
        label_sample(
            sample, groups[sample.problem], ends[sample.id], outcomes.get(sample.id), config, counts
        )
        for sample in ProgressBar(samples, desc="step labels", unit=" answers")
        if sample.id in ends
    ]
    counts["answer: without a valued prefix"] = len(samples) - len(labelled)
    reads = [config.problems, config.samples, config.passes, config.prefixes]
    reads += [config.completions, config.completion_passes]
    write_step_labels(config, labelled, counts, [inputs / name for name in reads], output)


def label_sample(
    sample: Sample,
    group: str,
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
    return label_steps(sample.id, group, sample.prompt, steps, known, config)


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
