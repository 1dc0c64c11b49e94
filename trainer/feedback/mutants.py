"""Passing programs -> mutants of them, each with the step in which it is another program.

After Ma et al. 2023 (arXiv 2310.10080): a program that passes is changed at one node of its syntax
tree. If it then fails, everything before the change is right, and the change is the first error.
"""

import ast
import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from trainer.feedback import sample
from trainer.feedback.answer_code import program_in
from trainer.feedback.pass_count import read_pass_counts
from trainer.feedback.prefixes import draw
from trainer.feedback.problem import Problem, read_problems
from trainer.feedback.sample import Sample, Sampler, read_samples
from trainer.feedback.samples import PromptTemplates, prompt_of
from trainer.pairs.mutants import mutants
from trainer.pipeline.progress import ProgressBar
from trainer.pipeline.shards import read_shards, write_shards
from trainer.pipeline.stage import StageError, writing_stage

STEM = "mutants"
MUTATION = Sampler(model="mutation")


@dataclass(frozen=True)
class MutantsConfig:
    """Which programs are mutated, and how often.

    Attributes:
        gold: whether the problems' reference programs are.
        samples, passes: stage of samples and of their pass counts. Programs that pass all tests are
            mutated too; with empty names none of them are.
        max_samples: such programs of one problem.
        mutants: of one program, at most.
        fenced: whether the answers are fenced blocks, as a policy's are, or code alone.
        templates, examples: how a problem is asked for whose reference program is mutated, as in
            the stage `samples`.
        seed: of which programs and mutants are taken.
    """

    problems: str = "problems"
    gold: bool = True
    samples: str = ""
    passes: str = ""
    max_samples: int = 2
    mutants: int = 8
    fenced: bool = True
    templates: PromptTemplates = field(default_factory=PromptTemplates)
    examples: int = 0
    seed: int = 1
    rows_per_shard: int = 10_000


@dataclass(frozen=True)
class Mutant:
    """An answer that is a mutant or the program that mutants were made of.

    Attributes:
        sample: id of the sample that has this text, by which it is executed and labelled.
        base: sample of the program it was made of; its own id if it is that program.
        group: as in `Problem`.
        steps: its lines, which joined by line ends are the answer's text.
        error: index of the first step that differs from the program's; None if it is that program.
    """

    sample: str
    base: str
    problem: str
    group: str
    prompt: str
    steps: tuple[str, ...]
    error: int | None = None


@dataclass(frozen=True)
class MutantBase:
    """A program to be mutated, and the request that it answers."""

    problem: Problem
    prompt: str
    code: str


def run(config: MutantsConfig, inputs: Path, output: Path) -> None:
    """Read programs; write mutants, and samples with their texts for the stages that execute."""
    problems = [each for each in read_problems(inputs / config.problems) if each.kind != "math"]
    counts: Counter[str] = Counter()
    found: dict[str, Mutant] = {}
    bases = programs(config, problems, inputs, counts)
    for base in ProgressBar(bases, desc="mutants", unit=" programs"):
        for row in mutants_of(base, config, counts):
            counts["mutant: same as another program or mutant"] += row.sample in found
            found.setdefault(row.sample, row)
    rows = list(found.values())
    if not rows:
        raise StageError(
            f"no program of {config.problems} could be mutated ({dict(+counts)}): give reference "
            "programs, or samples with their pass counts"
        )
    samples = [
        Sample(
            id=row.sample,
            problem=row.problem,
            number=number,
            prompt=row.prompt,
            text="\n".join(row.steps),
            finish_reason="stop",
            sampler=MUTATION,
        )
        for number, row in enumerate(rows)
    ]
    reads = [config.problems, *([config.samples, config.passes] if config.samples else [])]
    with writing_stage(config, output, reads=[inputs / name for name in reads]) as draft:
        write_shards(draft.path, STEM, rows, config.rows_per_shard)
        write_shards(draft.path, sample.STEM, samples, config.rows_per_shard)
        draft.facts["counts"] = dict(sorted((+counts).items()))


def programs(
    config: MutantsConfig, problems: Sequence[Problem], inputs: Path, counts: Counter[str]
) -> list[MutantBase]:
    """Distinct programs to be mutated, in the layout that `ast.unparse` gives them.

    Mutants come in that layout, and with another one the passing programs could be told by it.
    """
    found: dict[tuple[str, str], MutantBase] = {}

    def add(problem: Problem, prompt: str, code: str) -> None:
        try:
            plain = ast.unparse(ast.parse(code))
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            counts["program: cannot be parsed"] += 1
            return
        if not plain or (problem.id, plain) in found:
            counts["program: empty or a duplicate"] += 1
            return
        found[problem.id, plain] = MutantBase(problem, prompt, plain)

    for problem in problems:
        if config.gold and problem.gold:
            prompt = prompt_of(problem, config.templates, config.examples)
            add(problem, prompt, problem.gold)
    if config.samples:
        passes = read_pass_counts(inputs / config.passes)
        passing = {each.sample for each in passes if 0 < each.total == each.passed}
        known = {problem.id: problem for problem in problems}
        taken: Counter[str] = Counter()
        drawn = sorted(read_samples(inputs / config.samples), key=lambda s: draw(config.seed, s.id))
        for each in drawn:
            if each.id in passing and each.problem in known:
                if taken[each.problem] == config.max_samples:
                    counts["program: over the problem's limit"] += 1
                    continue
                taken[each.problem] += 1
                problem = known[each.problem]
                add(problem, each.prompt, program_in(problem, each.text))
    counts["program: mutated"] = len(found)
    return list(found.values())


def mutants_of(base: MutantBase, config: MutantsConfig, counts: Counter[str]) -> Iterator[Mutant]:
    """The program itself and then its mutants; nothing if it has none."""
    lines = base.code.split("\n")
    changed = []
    for mutant in mutants(base.code, config.mutants, f"{config.seed} {base.code}"):
        other = mutant.split("\n")
        pairs = zip(lines, other, strict=False)
        first = next((i for i, (one, two) in enumerate(pairs) if one != two), None)
        if first is None:
            # The last lines were deleted, so there is no line in which the error could be.
            counts["mutant: nothing stands where the change is"] += 1
        else:
            changed.append((other, first))
    if not changed:
        counts["program: without a mutant"] += 1
        return
    original, _ = steps_of(lines, 0, config.fenced)
    name = identity(base, original)
    problem = base.problem
    yield Mutant(name, name, problem.id, problem.group, base.prompt, original)
    for other, first in changed:
        steps, error = steps_of(other, first, config.fenced)
        counts["mutant: made"] += 1
        mutated = identity(base, steps)
        yield Mutant(mutated, name, problem.id, problem.group, base.prompt, steps, error)


def steps_of(lines: Sequence[str], changed: int, fenced: bool) -> tuple[tuple[str, ...], int]:
    """A step for each line that is not blank, and the index of the step with the changed line.

    Blank lines and the ends of a fence belong to the step beside them.
    """
    steps: list[str] = []
    error = 0
    for number, line in enumerate(lines):
        if line.strip() or not steps:
            steps.append(line)
        else:
            steps[-1] += f"\n{line}"
        if number == changed:
            error = len(steps) - 1
    if fenced:
        steps[0] = f"```python\n{steps[0]}"
        steps[-1] += "\n```"
    return tuple(steps), error


def identity(base: MutantBase, steps: Sequence[str]) -> str:
    """Id of the sample of this answer."""
    text = json.dumps([base.problem.id, base.prompt, *steps])
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def read_mutants(folder: Path) -> list[Mutant]:
    """All mutants of a finished stage, with the programs that they were made of."""
    return read_shards(folder, STEM, Mutant)
