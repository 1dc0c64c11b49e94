"""Mutants and what they pass -> step labels: right up to the change, which is the first error."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from trainer.feedback.mutants import Mutant, read_mutants
from trainer.feedback.pass_count import PassCount, read_pass_counts
from trainer.feedback.step_files import StepFilesConfig, StepLabels, write_step_labels


@dataclass(frozen=True, kw_only=True)
class MutationLabelsConfig(StepFilesConfig):
    """Which mutants are labelled.

    Attributes:
        passes: stage of the pass counts of `mutants`.
        originals: whether the passing programs are written too, with every step right.
    """

    mutants: str = "mutants"
    passes: str = "votes_mutants"
    originals: bool = True


def run(config: MutationLabelsConfig, inputs: Path, output: Path) -> None:
    """Read mutants with their pass counts; write labelled steps of each split."""
    mutants = read_mutants(inputs / config.mutants)
    passes = {each.sample: each for each in read_pass_counts(inputs / config.passes)}
    counts: Counter[str] = Counter()
    labelled = list(label(mutants, passes, config, counts))
    reads = [inputs / config.mutants, inputs / config.passes]
    write_step_labels(config, labelled, counts, reads, output)


def label(
    mutants: Sequence[Mutant],
    passes: dict[str, PassCount],
    config: MutationLabelsConfig,
    counts: Counter[str],
) -> Iterator[StepLabels]:
    """Labelled steps of the mutants that fail and whose program passes.

    A mutant that passes all tests does the same as its program, as far as the tests can tell, so
    it has no error that could be labelled.
    """
    passing = {
        mutant.sample
        for mutant in mutants
        if mutant.error is None
        and (found := passes.get(mutant.sample))
        and 0 < found.total == found.passed
    }
    for mutant in mutants:
        found = passes.get(mutant.sample)
        if mutant.error is None:
            kept = mutant.sample in passing
            counts["program: passes" if kept else "program: does not pass, or has no label"] += 1
            if kept and config.originals:
                right = len(mutant.steps)
                yield labelled_steps(mutant, (True,) * right)
        elif mutant.base not in passing:
            counts["mutant: its program does not pass"] += 1
        elif found is None or found.total == 0:
            counts["mutant: without label"] += 1
        elif found.passed == found.total:
            counts["mutant: equivalent, passes all tests"] += 1
        else:
            counts["mutant: fails"] += 1
            masked = (None,) * (len(mutant.steps) - mutant.error - 1)
            yield labelled_steps(mutant, ((True,) * mutant.error + (False,) + masked))


def labelled_steps(mutant: Mutant, labels: tuple[bool | None, ...]) -> StepLabels:
    """The row of an answer with labels that were not estimated, so that no values are known."""
    nothing = (None,) * len(labels)
    return StepLabels(
        id=mutant.sample,
        group=mutant.group,
        prompt=mutant.prompt,
        completions=mutant.steps,
        labels=labels,
        soft_labels=tuple(None if each is None else float(each) for each in labels),
        values=nothing,
        lows=nothing,
        highs=nothing,
        numbers=(0,) * len(labels),
        first_error=mutant.error,
        source="mutation",
    )
