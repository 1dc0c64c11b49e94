"""The whole stage, on runs and samples that are made by hand."""

from pathlib import Path

import pytest

from tests.trainer.feedback.made import (
    function,
    make_problems,
    make_runs,
    make_samples,
    ran,
    runs_of,
    sampled,
)
from trainer.evaluation.load import load
from trainer.evaluation.tasks import CandidatesTask
from trainer.feedback.pass_count import read_pass_counts
from trainer.feedback.problem import Problem
from trainer.feedback.problem_votes import read_problem_votes
from trainer.feedback.sandbox.types import Status
from trainer.feedback.votes import VotesConfig, run
from trainer.pipeline.stage import StageError, read_manifest

CONFIG = VotesConfig(min_valid=2, resamples=20, processes=1)
MATH = Problem("m", "m", "math", "What is 6 times 7?", gold="#### 42")


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """Two problems with programs and one with a final answer, with three samples each."""
    make_problems(tmp_path / "problems", [function("p"), function("q"), MATH])
    samples = [sampled(name, number) for name in "pq" for number in range(3)]
    samples += [sampled("m", n, text) for n, text in enumerate(("#### 42", "#### 42.0", "#### 7"))]
    make_samples(tmp_path / "samples", samples)
    make_runs(
        tmp_path / "runs",
        [
            runs_of("p-0", "p", "1", "2"),
            runs_of("p-1", "p", "1", "3"),
            runs_of("p-2", "p", "1", "3"),
            runs_of("", "p", "1", "2"),
            runs_of("q-0", "q", "5"),
            runs_of("q-1", "q", ran("5", Status.INFRASTRUCTURE)),
            runs_of("q-2", "q", "5"),
        ],
    )
    return tmp_path


def passed(folder: Path) -> dict[str, tuple[int, int]]:
    return {each.sample: (each.passed, each.total) for each in read_pass_counts(folder)}


def test_the_majority_labels_programs_and_answers(work: Path) -> None:
    run(CONFIG, work, work / "votes")
    assert passed(work / "votes") == {
        **{"p-0": (1, 2), "p-1": (2, 2), "p-2": (2, 2)},
        **{"q-0": (1, 1), "q-2": (1, 1)},
        **{"m-0": (1, 1), "m-1": (1, 1), "m-2": (0, 1)},
    }
    votes = {each.problem: each for each in read_problem_votes(work / "votes")}
    assert [each.is_right for each in votes["p"].inputs] == [True, False]
    assert votes["m"].inputs[0].is_right
    manifest = read_manifest(work / "votes")
    assert manifest["inputs"].keys() == {"problems", "samples", "runs"}
    assert manifest["counts"]["samples without a label"] == 1
    assert manifest["counts"]["samples without a label: a run is missing"] == 1
    assert manifest["statistics"]["accuracy_of_tests"]["n"] == 3
    assert "votes.svg" in manifest["files"]
    assert "95 % interval" in (work / "votes" / "votes.md").read_text()


def test_labelled_samples_are_candidates_of_an_evaluation(work: Path) -> None:
    run(CONFIG, work, work / "votes")
    loaded = load(CandidatesTask(stage="votes"), work, seed=1)
    rates = {question.id: question.pass_rates for question in loaded.questions}
    # The sample whose run is missing has no label, and is no candidate.
    assert rates == {"p": (0.5, 1.0, 1.0), "q": (1.0, 1.0), "m": (1.0, 1.0, 0.0)}
    assert loaded.questions[0].correct == (False, True, True)
    assert loaded.questions[2].answers == ("#### 42", "#### 42.0", "#### 7")


def test_the_same_input_gives_the_same_files(work: Path) -> None:
    run(CONFIG, work, work / "votes")
    first = read_manifest(work / "votes")["files"]
    run(CONFIG, work, work / "votes")
    assert read_manifest(work / "votes")["files"] == first


def test_a_frontier_models_programs_label_those_of_the_policy(work: Path) -> None:
    texts = {"p": "-", "q": "-", "m": "#### 7"}
    frontier = [
        sampled(name, n, text, id=f"f{name}-{n}") for name, text in texts.items() for n in (0, 1)
    ]
    make_samples(work / "frontier_samples", frontier)
    make_runs(
        work / "frontier_runs",
        [
            runs_of("fp-1", "p", "9", "9"),
            runs_of("fp-0", "p", "1", "2"),
            runs_of("fq-0", "q", Status.TIMEOUT),
        ],
    )
    config = VotesConfig(expected="frontier", frontier_choice="first", resamples=20, processes=1)
    run(config, work, work / "votes")
    assert passed(work / "votes") == {
        **{"p-0": (2, 2), "p-1": (1, 2), "p-2": (1, 2)},
        **{"m-0": (0, 1), "m-1": (0, 1), "m-2": (1, 1)},
    }
    assert read_manifest(work / "votes")["inputs"].keys() >= {"frontier_samples", "frontier_runs"}


def test_given_answers_need_no_vote(work: Path) -> None:
    make_problems(work / "problems", [MATH])
    make_samples(work / "samples", [sampled("m", 0, "#### 42"), sampled("m", 1, "#### 7")])
    run(VotesConfig(expected="given", processes=1), work, work / "votes")
    assert passed(work / "votes") == {"m-0": (1, 1), "m-1": (0, 1)}
    assert read_problem_votes(work / "votes") == []


def test_a_sample_without_code_fails_the_tests_of_the_others(work: Path) -> None:
    problem = function("p")
    make_problems(work / "problems", [problem])
    answers = ["def f(): return 1", "def f(): return 1", "```python\n```", "def f(): return 2"]
    make_samples(work / "samples", [sampled("p", n, text) for n, text in enumerate(answers)])
    make_runs(work / "runs", [runs_of("p-0", "p", "1", "2"), runs_of("p-1", "p", "1", "2")])
    run(CONFIG, work, work / "votes")
    assert passed(work / "votes") == {"p-0": (2, 2), "p-1": (2, 2), "p-2": (0, 2)}
    counts = read_manifest(work / "votes")["counts"]
    assert counts["samples without code, which fail"] == 1
    assert counts["samples without a label: their program was not run"] == 1


def test_samples_of_other_problems_are_refused(work: Path) -> None:
    make_problems(work / "problems", [function("p")])
    with pytest.raises(StageError, match="has a sample of q, which is none of the problems"):
        run(CONFIG, work, work / "votes")
