from collections import Counter
from pathlib import Path

from tests.trainer.feedback.problems import ADD, write_problems
from tests.trainer.feedback.rows import make_passes
from trainer.feedback import mutants
from trainer.feedback.mutants import Mutant, MutantsConfig, read_mutants
from trainer.feedback.mutation_labels import MutationLabelsConfig, label, run
from trainer.feedback.pass_count import PassCount
from trainer.feedback.step_files import StepLabels, read_step_labels
from trainer.pipeline.stage import read_manifest

CONFIG = MutationLabelsConfig(evaluation_share=0.0, calibration_share=0.0)


def labelled(
    work: Path, passed: dict[int, int], config: MutationLabelsConfig = CONFIG
) -> tuple[list[Mutant], dict[str, StepLabels]]:
    """Mutants of a program, which is the first row, where row `n` passes so many of three tests."""
    write_problems(work / "problems", ADD)
    mutants.run(MutantsConfig(mutants=4), work, work / "mutants")
    rows = read_mutants(work / "mutants")
    passes = [PassCount(rows[n].sample, "add", count, 3) for n, count in passed.items()]
    make_passes(work, passes, "votes_mutants")
    run(config, work, work / "mutation_labels")
    found = read_step_labels(work / "mutation_labels", "train")
    return rows, {row.id: row for row in found}


def test_steps_are_right_up_to_the_change_and_masked_after_it(tmp_path: Path) -> None:
    rows, found = labelled(tmp_path, {0: 3, 1: 0, 2: 2})
    assert found.keys() == {row.sample for row in rows[:3]}
    original = found[rows[0].sample]
    assert (set(original.labels), original.first_error) == ({True}, None)
    for row in rows[1:3]:
        steps = found[row.sample]
        assert row.error is not None
        assert steps.labels[: row.error] == (True,) * row.error
        assert steps.labels[row.error] is False
        assert set(steps.labels[row.error + 1 :]) <= {None}
        assert steps.first_error == row.error
        assert (steps.completions, steps.source) == (row.steps, "mutation")


def test_mutants_that_pass_or_have_no_label_are_counted_and_dropped(tmp_path: Path) -> None:
    rows, found = labelled(tmp_path, {0: 3, 1: 0, 2: 3})
    assert found.keys() == {rows[0].sample, rows[1].sample}
    counts = read_manifest(tmp_path / "mutation_labels")["counts"]
    assert counts["mutant: fails"] == 1
    assert counts["mutant: equivalent, passes all tests"] == 1
    assert counts["mutant: without label"] == len(rows) - 3


def test_the_passing_programs_may_be_left_out(tmp_path: Path) -> None:
    config = MutationLabelsConfig(evaluation_share=0.0, calibration_share=0.0, originals=False)
    rows, found = labelled(tmp_path, {0: 3, 1: 0}, config)
    assert found.keys() == {rows[1].sample}


def test_nothing_is_labelled_by_a_program_that_does_not_pass(tmp_path: Path) -> None:
    other = Mutant("o", "o", "add", "add", "Add.", ("def add(a, b):", "    return a + b"))
    wrong = Mutant("w", "o", "add", "add", "Add.", ("def add(a, b):", "    return a - b"), 1)
    passes = {"o": PassCount("o", "add", 2, 3), "w": PassCount("w", "add", 0, 3)}
    counts: Counter[str] = Counter()
    assert list(label([other, wrong], passes, CONFIG, counts)) == []
    assert counts["mutant: its program does not pass"] == 1
