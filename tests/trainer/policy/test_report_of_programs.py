"""From samples to a report through the real stages: programs run, are graded and vote."""

from pathlib import Path

from tests.bubblewrap import needs_bubblewrap
from tests.trainer.policy.made import MadeConfig
from trainer.feedback import execution, problem, sample, test_inputs, votes
from trainer.feedback.execution import ExecutionConfig
from trainer.feedback.problem import CallTest, Problem
from trainer.feedback.sample import Sample, Sampler
from trainer.feedback.sandbox.open import SandboxConfig
from trainer.feedback.test_inputs import TestInputsConfig
from trainer.feedback.votes import VotesConfig
from trainer.pipeline.shards import write_shards
from trainer.pipeline.stage import writing_stage
from trainer.policy.arms import Arm
from trainer.policy.report import PolicyReportConfig, run
from trainer.policy.report_file import read

SANDBOX = SandboxConfig(workers=1)
RIGHT = ["return a + b", "return b + a"]
WRONG = ["return a - b", "raise ValueError"]


def make_samples(work: Path, name: str, bodies: list[str]) -> None:
    """Samples of two problems; the last one is no program at all."""
    answers = [f"```python\ndef add(a, b):\n    {body}\n```" for body in bodies] + [""]
    rows = [
        Sample(f"{name} {task} {n}", task, n, "Add.", text, "stop", Sampler(name))
        for task in ("one", "two")
        for n, text in enumerate(answers)
    ]
    with writing_stage(MadeConfig(name), work / name, reads=[work / "problems"]) as draft:
        write_shards(draft.path, sample.STEM, rows, 100)


@needs_bubblewrap
def test_samples_of_two_policies_are_run_graded_and_compared(tmp_path: Path) -> None:
    tests = (CallTest("(1, 2)", "3"), CallTest("(5, 0)", "5"))
    rows = [
        Problem(
            name,
            name,
            "function",
            "Add.",
            "add",
            gold=f"def add(a, b):\n    {RIGHT[0]}",
            tests=tests,
        )
        for name in ("one", "two")
    ]
    with writing_stage(MadeConfig("problems"), tmp_path / "problems") as draft:
        write_shards(draft.path, problem.STEM, rows, 10)
    given = TestInputsConfig(source="given", sandbox=SANDBOX)
    test_inputs.run(given, tmp_path, tmp_path / "inputs")
    arms = []
    for name, bodies in (("start", [RIGHT[0], *WRONG]), ("round_1", [*RIGHT, WRONG[1]])):
        make_samples(tmp_path, name, bodies)
        runs = ExecutionConfig(samples=name, sandbox=SANDBOX)
        execution.run(runs, tmp_path, tmp_path / f"{name}_runs")
        graded = VotesConfig(expected="given", samples=name, sandbox=SANDBOX)
        votes.run(graded, tmp_path, tmp_path / f"{name}_votes")
        arms.append(Arm(name, name, f"{name}_votes", f"{name}_runs"))
    run(PolicyReportConfig(tuple(arms), resamples=50), tmp_path, tmp_path / "policy_report")
    (section,) = read(tmp_path / "policy_report").sections
    rates = section.comparison("pass@k").rows["1"]
    assert (rates["start"].value.value, rates["round_1"].value.value) == (0.25, 0.5)
    majority = section.comparison("majority of N").rows["4"]
    # One right and one wrong output tie among the start's programs; two right ones win later.
    assert (majority["start"].value.value, majority["round_1"].value.value) == (0.5, 1.0)
