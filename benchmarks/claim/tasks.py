"""Three downstream tasks as rows of pairs, by problem: code, arithmetic and deduction."""

import gzip
import json
import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from tqdm import tqdm

from benchmarks.inputs.mbpp import read_problems
from benchmarks.inputs.questions import REFERENCE, make_questions
from trainer.pairs.row import PreferenceRow, Rejected, read_pairs, write_pairs
from trainer.pipeline.stage import writing_stage

CODE, ARITHMETIC, DEDUCTION = "MBPP", "GSM8K", "LogicalDeduction"
_CODE_PROBLEMS = 450
_SEED = 7
_TESTED = {CODE: 150, ARITHMETIC: 150, DEDUCTION: 60}
"""Problems; LogicalDeduction asks some four questions about each of its orders of objects."""

_MOST_CHARACTERS = 600
"""Longest GSM8K solution, in characters. Longer ones take most of the time and are a fifth."""

Problem = list[PreferenceRow]
"""Rows of one problem; all of it is trained on, or all of it is tested."""


@dataclass(frozen=True)
class Task:
    """Problems to train on and rows to test on.

    Attributes:
        what: for the page: what is ranked, and who says what is right.
    """

    name: str
    what: str
    train: list[Problem]
    test: list[PreferenceRow]


@dataclass(frozen=True)
class _Problems:
    """For the manifest of the MBPP rows."""

    problems: int
    seed: int


def read_tasks(data: Path, work: Path) -> list[Task]:
    """All three; problems are divided once, alike for every seed."""
    return [_code(data, work / "mbpp"), _deduction(data), _arithmetic(data)]


def draw(task: Task, pairs: int, seed: int) -> list[PreferenceRow]:
    """Whole problems at random until there are so many pairs; the last one gives what is missing.

    Fewer when the task has no more.
    """
    found: list[PreferenceRow] = []
    for problem in random.Random(f"{task.name} {seed}").sample(task.train, len(task.train)):
        for row in problem:
            if pairs:
                found.append(replace(row, rejected=row.rejected[:pairs]))
                pairs -= len(found[-1].rejected)
    return found


def _code(data: Path, cache: Path) -> Task:
    if not cache.is_dir():
        _run_code(data, cache)
    problems = [[row] for row in read_pairs(cache, "train")]
    what = (
        "the reference solution against up to 4 of its mutants and solutions of other problems, 7 "
        "wrong answers in all, each of which failed the problem's asserts when it was run"
    )
    return _divided(CODE, what, problems)


def _run_code(data: Path, cache: Path) -> None:
    """Minutes, because every answer is run; so the rows are kept."""
    found = make_questions(read_problems(data / "mbpp"), _CODE_PROBLEMS, _SEED)
    rows: list[PreferenceRow] = []
    for question in tqdm(found, desc="running MBPP solutions", total=_CODE_PROBLEMS):
        answers = list(zip(question.kinds, question.candidates, strict=True))
        right = next(text for kind, text in answers if kind == REFERENCE)
        wrong = [Rejected(kind, text) for kind, text in answers if kind != REFERENCE]
        group = str(question.problem)
        rows.append(PreferenceRow(group, group, question.prompt, right, tuple(wrong), CODE))
    config = _Problems(_CODE_PROBLEMS, _SEED)
    with writing_stage(config, cache) as draft:
        write_pairs(draft.path, "train", rows, len(rows))


def _arithmetic(data: Path) -> Task:
    rows = _read_lines(data / "candidates" / "gsm8k_test_first660.jsonl.gz")
    problems = [list(_within_families(row)) for row in rows]
    what = (
        "a right solution against wrong ones of the same problem by the same family of models, at "
        f"most {_MOST_CHARACTERS} characters each; right by the answer"
    )
    return _divided(ARITHMETIC, what, [problem for problem in problems if problem])


def _within_families(row: dict[str, object]) -> Iterator[PreferenceRow]:
    """Pairs of a right and a wrong solution by one model family.

    Between two families the longer solution comes from the stronger one, and length would win.
    """
    families: dict[str, dict[bool, list[str]]] = defaultdict(lambda: {True: [], False: []})
    candidates = row["candidates"]
    assert isinstance(candidates, list)
    for candidate in candidates:
        known = families[_family(candidate["model"])][candidate["correct"]]
        if len(candidate["text"]) <= _MOST_CHARACTERS and candidate["text"] not in known:
            known.append(candidate["text"])
    group, prompt = str(row["id"]), str(row["prompt"])
    for family, answers in families.items():
        wrong = tuple(Rejected(family, text) for text in answers[False])
        for number, right in enumerate(answers[True] if wrong else ()):
            yield PreferenceRow(
                f"{group} {family} {number}", group, prompt, right, wrong, ARITHMETIC
            )


def _family(model: str) -> str:
    """openai/6b_finetuning and openai/6b_verification -> 6b; gpt-3.5-turbo/re2/cot -> its head."""
    head, _, rest = model.partition("/")
    return rest.partition("_")[0] if head == "openai" else head


def _deduction(data: Path) -> Task:
    """Only the training file is read: nearly all of the other one is in it, too."""
    by_context: dict[str, Problem] = defaultdict(list)
    for row in _choices(data / "logic_llm" / "LogicalDeduction_train.json.gz"):
        by_context[row.group].append(row)
    what = "the right one of up to 7 statements about an order of objects against the wrong ones"
    return _divided(DEDUCTION, what, list(by_context.values()))


def _choices(file: Path) -> Iterator[PreferenceRow]:
    with gzip.open(file, "rt", encoding="utf-8") as stream:
        rows = json.load(stream)
    for row in rows:
        options = {option[0]: option[3:] for option in row["options"]}
        right = options.pop(row["answer"])
        wrong = tuple(Rejected("option", text) for text in options.values())
        prompt = f"{row['context']}\n{row['question']}"
        yield PreferenceRow(row["id"], row["context"], prompt, right, wrong, DEDUCTION)


def _divided(name: str, what: str, problems: list[Problem]) -> Task:
    shuffled = random.Random(name).sample(problems, len(problems))
    test = [row for problem in shuffled[: _TESTED[name]] for row in problem]
    return Task(name, what, shuffled[_TESTED[name] :], test)


def _read_lines(file: Path) -> list[dict[str, object]]:
    with gzip.open(file, "rt", encoding="utf-8") as stream:
        return [json.loads(line) for line in stream]
