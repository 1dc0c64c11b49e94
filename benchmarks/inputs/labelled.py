"""Questions whose answers are known to be right or wrong: samples, solutions, options."""

import gzip
import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from benchmarks.inputs.candidates import read_solved_problems
from trainer.evaluation.question import Question, text_of
from trainer.feedback.pass_count import read_pass_counts
from trainer.feedback.problem import read_problems
from trainer.feedback.sample import Sample, read_samples
from trainer.pairs.group import group_of


def read_sampled(stages: Sequence[Path], source: str) -> list[Question]:
    """Samples of a policy, in the order of the problems.

    A sample is right if it passes all tests of its problem. One without a label is left out.

    Args:
        stages: finished stages of problems, of samples, and of votes on them.
    """
    problems, samples, passes = stages
    right = {each.sample: each.passed == each.total for each in read_pass_counts(passes)}
    by_problem: dict[str, list[Sample]] = defaultdict(list)
    for sample in read_samples(samples):
        if sample.id in right:
            by_problem[sample.problem].append(sample)
    return [
        Question(
            id=problem.id,
            group=problem.group,
            # All samples of a problem in one stage answer the same message.
            prompt=found[0].prompt,
            answers=tuple(sample.text for sample in found),
            correct=tuple(right[sample.id] for sample in found),
            source=source,
        )
        for problem in read_problems(problems)
        if (found := by_problem[problem.id])
    ]


def read_solved(data: Path, family: str, source: str) -> list[Question]:
    """GSM8K's problems with the solutions of one family of models: `family/name`.

    Between two families the longer solution comes from the stronger one, and length would win.
    """
    questions = []
    for row in read_solved_problems(data):
        own = [each for each in row["candidates"] if each["model"].split("/")[0] == family]
        questions.append(
            Question(
                id=row["id"],
                group=group_of(row["prompt"]),
                prompt=row["prompt"],
                answers=tuple(each["text"] for each in own),
                correct=tuple(each["correct"] for each in own),
                source=source,
            )
        )
    return questions


def read_options(file: Path, source: str) -> list[Question]:
    """Questions with options of Logic-LLM's format; those about one passage are one group."""
    with gzip.open(file, "rt", encoding="utf-8") as stream:
        rows = json.load(stream)
    questions = []
    for row in rows:
        options = {option[0]: option[3:] for option in row["options"]}
        questions.append(
            Question(
                id=row["id"],
                group=group_of(row["context"]),
                prompt=f"{row['context']}\n{row['question']}",
                answers=tuple(options.values()),
                correct=tuple(letter == row["answer"] for letter in options),
                source=source,
            )
        )
    return questions


def is_mixed(question: Question) -> bool:
    """Whether there are right and wrong answers; without both there is nothing to rank."""
    return any(question.correct) and not all(question.correct)


def short_only(question: Question, most_characters: int) -> Question:
    """The same question without its long answers, and without empty ones."""
    lengths = [len(text_of(answer)) for answer in question.answers]
    return question.only([n for n, length in enumerate(lengths) if 0 < length <= most_characters])
