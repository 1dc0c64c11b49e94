"""The stages of the process level in a row, with real runs in the real sandbox."""

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


def label(work: Path, made: str) -> None:
    """Run the samples of a stage, and count what they pass by the votes of the first samples."""
    runs = f"runs_{made}"
    execution.run(execution.ExecutionConfig(samples=made, sandbox=SANDBOX), work, work / runs)
    config = votes.VotesConfig(
        expected="frontier",
        samples=made,
        runs=runs,
        frontier_samples="samples",
        frontier_runs="runs",
        min_valid=5,
    )
    votes.run(config, work, work / f"votes_{made}")


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
    label(tmp_path, "completions")

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

    mutants.run(mutants.MutantsConfig(), tmp_path, tmp_path / "mutants")
    label(tmp_path, "mutants")
    all_of_them = mutation_labels.MutationLabelsConfig(evaluation_share=0.0, calibration_share=0.0)
    mutation_labels.run(all_of_them, tmp_path, tmp_path / "mutation_labels")
    found = read_step_labels(tmp_path / "mutation_labels", "train")
    wrong = [steps for steps in found if steps.first_error is not None]
    assert wrong
    assert all(steps.completions[-1].startswith("    return ") for steps in wrong)
    counts = read_manifest(tmp_path / "mutation_labels")["counts"]
    assert counts["program: passes"] == 1
    assert counts["mutant: fails"] == len(wrong)
