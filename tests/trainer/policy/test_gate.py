"""Rounds of small finished stages, each accepted or refused on a probe."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.checkpoints import make_checkpoint
from tests.trainer.policy.made import MadeConfig, make_problems, make_samples
from trainer.feedback.serving import find_policy
from trainer.pipeline.lineage import lineage
from trainer.pipeline.stage import StageError, read_manifest, writing_stage
from trainer.policy import start_policy
from trainer.policy.gate import GateConfig, entropy, read, run
from trainer.policy.start_policy import StartPolicyConfig

IDS = [f"p{number}" for number in range(6)]
GATE = GateConfig(
    policy="dpo_1",
    samples="one_samples",
    passes="one_passes",
    previous="start",
    previous_samples="zero_samples",
    previous_passes="zero_passes",
    problems="problems",
    resamples=200,
)
SECOND = replace(
    GATE, policy="dpo_2", samples="two_samples", passes="two_passes", previous="gate_1"
)


def make_round(work: Path, name: str, policy: str, right: int) -> None:
    """A policy's stage, and four samples for each problem of the probe, `right` of which pass."""
    with writing_stage(MadeConfig(policy), work / policy):
        pass
    passing = {each: [number < right for number in range(4)] for each in IDS}
    make_samples(work, name, passing, reads=("problems", policy))


@pytest.fixture
def work(tmp_path: Path) -> Path:
    make_problems(tmp_path, IDS)
    make_round(tmp_path, "zero", "start", right=2)
    return tmp_path


def test_a_better_policy_is_accepted_and_followed(work: Path) -> None:
    make_round(work, "one", "dpo_1", right=3)
    run(GATE, work, work / "gate_1")
    decision = read(work / "gate_1")
    assert decision.accepted
    assert decision.policy == "dpo_1"
    assert (decision.previous.value, decision.new.value, decision.gain.value) == (0.5, 0.75, 0.25)
    assert find_policy("gate_1", work) == work / "dpo_1"
    assert set(lineage(work, ["gate_1"])) >= {"dpo_1", "start", "one_passes"}
    assert "dpo_1 is accepted: pass@1 on 6 problems" in read_manifest(work / "gate_1")["decision"]


def test_a_refused_round_keeps_the_policy_that_was_accepted_last(work: Path) -> None:
    make_round(work, "one", "dpo_1", right=3)
    make_round(work, "two", "dpo_2", right=1)
    make_round(work, "three", "dpo_3", right=3)
    run(GATE, work, work / "gate_1")
    run(SECOND, work, work / "gate_2")
    refused = read(work / "gate_2")
    assert not refused.accepted
    assert find_policy("gate_2", work) == work / "dpo_1"
    third = replace(
        GATE, policy="dpo_3", samples="three_samples", passes="three_passes", previous="gate_2"
    )
    # The third round is compared with the first one's policy, not with the refused one.
    run(third, work, work / "gate_3")
    assert read(work / "gate_3").previous.value == 0.75
    assert read(work / "gate_3").accepted  # as good as before is within the tolerance


def test_the_lower_end_of_the_interval_can_decide(work: Path) -> None:
    with writing_stage(MadeConfig(), work / "dpo_1"):
        pass
    passing = {each: [True] * (4 if each == "p0" else 2) for each in IDS}
    passing = {each: (rights + [False] * 4)[:4] for each, rights in passing.items()}
    make_samples(work, "one", passing, reads=("problems", "dpo_1"))
    strict = replace(GATE, min_gain=0.01)
    run(strict, work, work / "gate")
    assert read(work / "gate").accepted  # the mean rises by 1/12
    run(replace(strict, decide_by="interval"), work, work / "gate")
    assert not read(work / "gate").accepted  # one problem of six may be chance


def test_what_the_votes_said_is_kept_beside_the_decision(work: Path) -> None:
    make_round(work, "one", "dpo_1", right=3)
    with writing_stage(MadeConfig(), work / "votes") as draft:
        draft.facts["statistics"] = {"means_over_tests": {"winner": 0.9}}
    run(replace(GATE, votes="votes"), work, work / "gate")
    decision = read(work / "gate")
    assert decision.votes == {"means_over_tests": {"winner": 0.9}}
    assert decision.entropy == {"previous": 2.0, "new": 2.0}  # four different texts each


def test_answers_that_are_equal_lower_the_entropy(tmp_path: Path) -> None:
    make_problems(tmp_path, ["a"], kind="math")
    with writing_stage(MadeConfig(), tmp_path / "dpo_1"):
        pass
    split, alike = ["#### 1", "#### 2", "#### 1.0", "#### 2.0"], ["#### 2", "so\n#### 2.0"] * 2
    make_samples(tmp_path, "zero", {"a": [True, False] * 2}, texts={"a": split})
    make_samples(tmp_path, "one", {"a": [False] * 4}, texts={"a": alike})
    run(GATE, tmp_path, tmp_path / "gate")
    decision = read(tmp_path / "gate")
    assert decision.entropy == {"previous": 1.0, "new": 0.0}
    assert not decision.accepted


def test_the_policy_that_rounds_begin_with_may_be_a_pointer(work: Path) -> None:
    make_checkpoint(work / "elsewhere")
    start_policy.run(StartPolicyConfig(str(work / "elsewhere")), work, work / "start")
    make_samples(work, "zero", {each: [True, True] for each in IDS}, reads=("problems", "start"))
    make_round(work, "one", "dpo_1", right=1)
    run(GATE, work, work / "gate_1")
    assert not read(work / "gate_1").accepted
    assert find_policy("gate_1", work) == work / "elsewhere"


def test_the_first_round_must_name_its_starts_stages(work: Path) -> None:
    make_round(work, "one", "dpo_1", right=3)
    with pytest.raises(StageError, match="set previous_samples and previous_passes"):
        run(replace(GATE, previous_samples=""), work, work / "gate")


def test_the_entropy_is_in_bits() -> None:
    assert entropy([1, 1, 1, 1]) == 0.0
    assert entropy([1, 2, 3, 4]) == 2.0
