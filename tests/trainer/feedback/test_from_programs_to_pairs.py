"""Programs in the real sandbox, votes on what they put out, and pairs of their answers."""

from pathlib import Path

import pytest

from tests.bubblewrap import needs_bubblewrap
from tests.trainer.feedback.made import function, make_problems, make_samples, make_stage, sampled
from trainer.feedback import execution, pairs, test_inputs, votes
from trainer.feedback.execution import ExecutionConfig
from trainer.feedback.pair_rules import PassMargin
from trainer.feedback.pairs import PolicyPairsConfig
from trainer.feedback.pass_count import Verdict, read_pass_counts
from trainer.feedback.problem_votes import read_problem_votes
from trainer.feedback.runner import RunSettings
from trainer.feedback.sandbox.open import SandboxConfig
from trainer.feedback.sandbox.types import Input, Limits
from trainer.feedback.test_inputs import TestInputs
from trainer.feedback.votes import VotesConfig
from trainer.pairs.policy_row import read_policy_rows
from trainer.pipeline.stage import read_manifest

pytestmark = needs_bubblewrap

MEAN = "def f(xs):\n    return {}"
ANSWERS = {
    "right": MEAN.format("sum(xs) / len(xs)"),
    "also right": "import math\n" + MEAN.format("math.fsum(xs) / len(xs)"),
    "right by another way": "from fractions import Fraction\n"
    + MEAN.format("float(sum(map(Fraction, xs)) / len(xs))"),
    "rounded": MEAN.format("sum(xs) // len(xs)"),
    "by chance": "import random\nseed = random.SystemRandom()\n" + MEAN.format("seed.random()"),
    "endless": "def f(xs):\n    while True: pass",
    "broken": "def f(xs:",
}


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("work")
    gold = "def f(xs):\n    return sum(xs) / len(xs)"
    make_problems(folder / "problems", [function("mean", gold)])
    inputs = ("([1, 2],)", "([0.1, 0.2, 0.3],)", "([4],)", "([],)")
    given = TestInputs("mean", tuple(Input(arguments=each) for each in inputs))
    make_stage(folder / "inputs", {test_inputs.STEM: [given]})
    answers = [
        sampled("mean", number, f"```python\n{code}\n```", id=name)
        for number, (name, code) in enumerate(ANSWERS.items())
    ]
    make_samples(folder / "samples", answers)
    settings = RunSettings(limits=Limits(cpu_seconds=0.3), max_timeouts=1)
    config = ExecutionConfig(sandbox=SandboxConfig(workers=2), execution=settings)
    execution.run(config, folder, folder / "runs")
    votes.run(VotesConfig(min_valid=3, resamples=20), folder, folder / "votes")
    return folder


def test_the_majority_is_right_where_programs_end_well(work: Path) -> None:
    (found,) = read_problem_votes(work / "votes")
    assert [vote.expected for vote in found.inputs[:3]] == ["1.5", "0.2", "4"]
    assert [vote.is_right for vote in found.inputs[:3]] == [True, True, True]
    assert found.inputs[3].left_out in {"no program ended well", "too few programs ended well"}
    assert read_manifest(work / "votes")["statistics"]["accuracy_of_tests"]["value"] == 1.0


def test_every_program_gets_the_label_that_it_earns(work: Path) -> None:
    passed = {each.sample: each for each in read_pass_counts(work / "votes")}
    assert {name: each.passed for name, each in passed.items()} == {
        "right": 3,
        "also right": 3,
        "right by another way": 3,
        "rounded": 1,
        "by chance": 0,
        "endless": 0,
        "broken": 0,
    }
    assert set(passed["endless"].verdicts) == {Verdict.TIMEOUT}
    assert set(passed["broken"].verdicts) == {Verdict.COMPILE}
    assert set(passed["by chance"].verdicts) == {Verdict.WRONG}


def test_pairs_put_right_programs_over_wrong_ones(work: Path) -> None:
    config = PolicyPairsConfig(
        rule=PassMargin(min_difference=0.6), evaluation_share=0.0, calibration_share=0.0
    )
    pairs.run(config, work, work / "policy_pairs")
    found = {
        (row.chosen.id, rejected.id)
        for row in read_policy_rows(work / "policy_pairs")
        for rejected in row.rejected
    }
    right = ("right", "also right", "right by another way")
    wrong = ("rounded", "by chance", "endless", "broken")
    assert found == {(chosen, rejected) for chosen in right for rejected in wrong}
