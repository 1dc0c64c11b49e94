"""The stages of the process level in a row, with real runs in the real sandbox."""

from dataclasses import replace
from pathlib import Path

from tests.bubblewrap import needs_bubblewrap
from tests.trainer.feedback.problems import ADD, write_problems
from tests.trainer.synthesis.corpus import asking
from tests.trainer.synthesis.server import serving
from trainer.feedback import (
    execution,
    mutants,
    mutation_labels,
    prefix_completions,
    prefixes,
    process_pairs,
    samples,
    step_labels,
    test_inputs,
    votes,
)
from trainer.feedback.samples import PromptTemplates, prompt_of
from trainer.feedback.sandbox.open import SandboxConfig
from trainer.feedback.step_files import read_step_labels
from trainer.pairs.policy_row import read_policy_rows
from trainer.pipeline.stage import read_manifest

ASKED = prompt_of(ADD, PromptTemplates())
RIGHT = "```python\ndef add(a, b):\n    total = a\n    total = total + b\n    return total\n```"
WRONG = RIGHT.replace("+", "-")
OTHER = "```python\ndef add(a, b):\n    return a + b\n```"
# What stands before the wrong step may still become either.
STEP, FAULT = "total + b", "total - b"

SANDBOX = SandboxConfig(workers=2)


def policy(prompt: str, seed: int | None) -> str:
    """One of three answers by the seed; only those that begin as the assistant's message does."""
    begun = prompt.removeprefix(ASKED)
    possible = [each for each in (OTHER, WRONG, RIGHT) if each.startswith(begun)]
    return possible[(seed or 0) % len(possible)][len(begun) :]


@needs_bubblewrap
def test_samples_become_process_pairs_and_step_labels(tmp_path: Path) -> None:
    write_problems(tmp_path / "problems", ADD)
    with serving(policy) as server:
        config = samples.SamplesConfig(asking(server.url, samples=9))
        samples.run(config, tmp_path, tmp_path / "samples")
        test_inputs.run(
            test_inputs.TestInputsConfig(source="given", sandbox=SANDBOX),
            tmp_path,
            tmp_path / "inputs",
        )
        execution.run(execution.ExecutionConfig(sandbox=SANDBOX), tmp_path, tmp_path / "runs")
        votes.run(votes.VotesConfig(), tmp_path, tmp_path / "votes")
        prefixes.run(prefixes.PrefixesConfig(share=1.0), tmp_path, tmp_path / "prefixes")
        completing = prefix_completions.PrefixCompletionsConfig(asking(server.url, samples=3))
        prefix_completions.run(completing, tmp_path, tmp_path / "completions")
    execution.run(
        execution.ExecutionConfig(samples="completions", sandbox=SANDBOX),
        tmp_path,
        tmp_path / "runs_completions",
    )
    # Completions are judged by the votes of the samples, and have none themselves.
    judging = votes.VotesConfig(
        expected="frontier",
        frontier_samples="samples",
        frontier_runs="runs",
        min_valid=5,
        samples="completions",
        runs="runs_completions",
    )
    votes.run(judging, tmp_path, tmp_path / "votes_completions")

    pairing = process_pairs.ProcessPairsConfig(margin_share=0.4)
    process_pairs.run(pairing, tmp_path, tmp_path / "process_pairs")
    rows = read_policy_rows(tmp_path / "process_pairs")
    assert rows
    for row in rows:
        assert not row.ends
        assert row.chosen.value >= 0.5
        assert all(row.chosen.value - rival.value > 0.4 for rival in row.rejected)
    assert any(row.chosen.text.endswith(STEP) for row in rows)
    assert any(rival.text.endswith(FAULT) for row in rows for rival in row.rejected)

    # A third of what goes on from the shared beginning passes.
    labelling = step_labels.StepLabelsConfig(
        threshold=0.3, evaluation_share=0.0, calibration_share=0.0
    )
    step_labels.run(labelling, tmp_path, tmp_path / "step_labels")
    for steps in read_step_labels(tmp_path / "step_labels", "train"):
        answer = "\n".join(steps.completions)
        if answer == WRONG:
            assert steps.first_error is not None
            assert steps.completions[steps.first_error].endswith(FAULT)
        else:
            assert set(steps.labels) == {True}


@needs_bubblewrap
def test_programs_with_tests_become_step_labels_of_mutants_that_fail(tmp_path: Path) -> None:
    gold = "def add(a, b):\n    total = a + 0\n    total = total + b\n    return total"
    write_problems(tmp_path / "problems", replace(ADD, gold=gold))
    mutants.run(mutants.MutantsConfig(mutants=100), tmp_path, tmp_path / "mutants")
    grading = votes.VotesConfig(expected="given", samples="mutants", sandbox=SANDBOX)
    votes.run(grading, tmp_path, tmp_path / "votes_mutants")
    everything = mutation_labels.MutationLabelsConfig(evaluation_share=0.0, calibration_share=0.0)
    mutation_labels.run(everything, tmp_path, tmp_path / "mutation_labels")
    found = read_step_labels(tmp_path / "mutation_labels", "train")
    wrong = [steps for steps in found if steps.first_error is not None]
    counts = read_manifest(tmp_path / "mutation_labels")["counts"]
    assert counts["program: passes"] == 1
    assert counts["mutant: fails"] == len(wrong) > 5
    # The sum with nothing may as well be the difference.
    assert counts["mutant: equivalent, passes all tests"] >= 1
    assert not any("a - 0" in step for steps in found for step in steps.completions)
