import ast
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.trainer.feedback.problems import ADD, SUM, write_problems
from tests.trainer.feedback.rows import answer, make_passes, make_samples
from trainer.feedback.mutants import Mutant, MutantsConfig, read_mutants, run, steps_of
from trainer.feedback.pass_count import PassCount
from trainer.feedback.problem import Problem
from trainer.feedback.sample import read_samples
from trainer.feedback.samples import PromptTemplates, prompt_of
from trainer.pipeline.stage import StageError, read_manifest
from trainer.synthesis.code import code_of

GOLD = """\
import math


def rank(items, limit=3):
    # the best of them
    best = []
    for item in items:
        if item > limit:
            best.append(item + 1)
    return sorted(best)[:limit]
"""
RANK = replace(ADD, id="rank", group="rank", entry_point="rank", gold=GOLD)


def mutated(work: Path, config: MutantsConfig, *problems: Problem) -> list[Mutant]:
    write_problems(work / "problems", *problems)
    run(config, work, work / "mutants")
    return read_mutants(work / "mutants")


def test_everything_before_the_first_error_is_the_program_and_the_error_is_not(
    tmp_path: Path,
) -> None:
    original, *changed = mutated(tmp_path, MutantsConfig(mutants=100), RANK)
    assert (original.error, original.base) == (None, original.sample)
    assert len(changed) > 10
    for mutant in changed:
        assert mutant.base == original.sample
        assert mutant.error is not None
        assert mutant.steps[: mutant.error] == original.steps[: mutant.error]
        # A program may end with the deleted statement, behind which there is nothing to compare.
        same = mutant.steps[mutant.error] == original.steps[mutant.error]
        assert not same


def test_samples_have_the_texts_and_the_request_that_a_policy_gets(tmp_path: Path) -> None:
    rows = mutated(tmp_path, MutantsConfig(), RANK)
    samples = read_samples(tmp_path / "mutants")
    assert [sample.id for sample in samples] == [row.sample for row in rows]
    for row, sample in zip(rows, samples, strict=True):
        assert sample.text == "\n".join(row.steps)
        assert sample.prompt == row.prompt == prompt_of(RANK, PromptTemplates())
        assert sample.text.startswith("```python\n")
        ast.parse(code_of(sample.text))
    assert code_of(samples[0].text) == ast.unparse(ast.parse(GOLD))


def test_the_layout_does_not_tell_a_program_from_its_mutants(tmp_path: Path) -> None:
    for row in mutated(tmp_path, MutantsConfig(fenced=False), RANK):
        code = "\n".join(row.steps)
        assert ast.unparse(ast.parse(code)) == code


def test_samples_that_pass_all_tests_are_mutated(tmp_path: Path) -> None:
    good = answer("good", f"Here it is:\n```python\n{GOLD}```", problem="rank")
    bad = answer("bad", "def rank(items):\n    return items[0] + 1", problem="rank")
    unlabelled = answer("unlabelled", "def rank(items):\n    return items[1] + 1", problem="rank")
    make_samples(tmp_path, [good, bad, unlabelled])
    make_passes(tmp_path, [PassCount("good", "rank", 3, 3), PassCount("bad", "rank", 2, 3)])
    config = MutantsConfig(gold=False, samples="samples", passes="votes", mutants=3)
    original, *changed = mutated(tmp_path, config, RANK)
    assert original.prompt == "Solve rank."
    assert changed
    assert {mutant.base for mutant in changed} == {original.sample}
    assert read_manifest(tmp_path / "mutants")["counts"]["program: mutated"] == 1


def test_equal_programs_of_samples_and_problem_are_mutated_once(tmp_path: Path) -> None:
    prompt = prompt_of(RANK, PromptTemplates())
    make_samples(tmp_path, [answer("same", GOLD, problem="rank", prompt=prompt)])
    make_passes(tmp_path, [PassCount("same", "rank", 3, 3)])
    rows = mutated(tmp_path, MutantsConfig(samples="samples", passes="votes"), RANK)
    assert [row.error for row in rows].count(None) == 1


def test_what_cannot_be_mutated_is_counted(tmp_path: Path) -> None:
    broken = replace(RANK, id="broken", gold="def rank(:")
    empty = replace(RANK, id="empty", gold="def rank():\n    pass")
    mutated(tmp_path, MutantsConfig(), RANK, broken, empty, SUM)
    counts = read_manifest(tmp_path / "mutants")["counts"]
    assert counts["program: cannot be parsed"] == 1
    assert counts["program: without a mutant"] == 1
    with pytest.raises(StageError, match="no program of problems could be mutated"):
        mutated(tmp_path, MutantsConfig(), SUM)


@given(
    st.lists(st.sampled_from(["a = 1", "    b = 2", "", "  "]), min_size=1, max_size=8),
    st.booleans(),
    st.data(),
)
def test_steps_joined_are_the_program_and_none_is_blank(
    lines: list[str], fenced: bool, data: st.DataObject
) -> None:
    lines = ["import math", *lines]
    changed = data.draw(st.integers(0, len(lines) - 1))
    steps, error = steps_of(lines, changed, fenced)
    code = "\n".join(lines)
    assert "\n".join(steps) == (f"```python\n{code}\n```" if fenced else code)
    assert all(step.strip() for step in steps)
    assert lines[changed] in steps[error]
