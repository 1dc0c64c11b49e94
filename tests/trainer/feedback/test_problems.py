"""The stage reads problems, and says which are left out and why."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.bubblewrap import needs_bubblewrap
from trainer.feedback.grading import Grader
from trainer.feedback.problem import read_problems
from trainer.feedback.problems import LeftOut, ProblemsConfig, faults, run
from trainer.feedback.readers.gsm8k import Gsm8k
from trainer.feedback.readers.mbpp import Mbpp
from trainer.feedback.readers.plain import Plain
from trainer.feedback.sandbox.open import SandboxConfig
from trainer.feedback.sandbox.types import Input, Limits, Outcome, Program, Status
from trainer.pipeline.stage import StageError, read_manifest
from trainer.tables.record import Record


def write(folder: Path, rows: list[Record]) -> tuple[str, ...]:
    (folder / "rows.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return ("rows.jsonl",)


def row(number: int) -> Record:
    code = "def add(a, b):\n    return a + b"
    test = f"assert add({number}, 1) == {number + 1}"
    return {"task_id": number, "text": "Add.", "code": code, "test_list": [test]}


def test_problems_keep_the_order_of_their_source(tmp_path: Path) -> None:
    paths = write(tmp_path, [row(12), row(11), row(700)])
    run(
        ProblemsConfig(Mbpp(split="test"), paths, check_gold=False), tmp_path, tmp_path / "problems"
    )
    assert [problem.id for problem in read_problems(tmp_path / "problems")] == [
        "mbpp/12",
        "mbpp/11",
    ]
    counts = read_manifest(tmp_path / "problems")["counts"]
    assert counts == {
        "rows": 3,
        "of another split": 1,
        "read": 2,
        "problems": 2,
        "tests": 2,
        "with a reference": 2,
    }


def test_what_is_left_out_is_counted_with_its_ids(tmp_path: Path) -> None:
    rows: list[Record] = [row(11), row(11), row(12) | {"code": "def"}, {"task_id": 13}]
    config = ProblemsConfig(Mbpp(), write(tmp_path, rows), check_gold=False)
    run(config, tmp_path, tmp_path / "problems")
    manifest = read_manifest(tmp_path / "problems")
    assert manifest["left_out"] == {
        "another row has the same id": ["rows.jsonl:2"],
        "the reference code is no Python": ["rows.jsonl:3"],
        "no column code": ["rows.jsonl:4"],
    }
    assert manifest["counts"]["left out: no column code"] == 1


def test_a_problem_without_tests_is_kept_only_on_request(tmp_path: Path) -> None:
    rows: list[Record] = [{"id": i, "statement": "s", "entry_point": "f"} for i in "ab"]
    paths = write(tmp_path, [*rows, {**rows[0], "id": "c", "tests": ["assert f(1)"]}])
    for unlabelled, expected in ((False, ["c"]), (True, ["a", "b", "c"])):
        config = ProblemsConfig(Plain(), paths, unlabelled=unlabelled, check_gold=False)
        run(config, tmp_path, tmp_path / "problems")
        assert [each.id for each in read_problems(tmp_path / "problems")] == expected
    run(replace(config, unlabelled=False), tmp_path, tmp_path / "problems")
    assert read_manifest(tmp_path / "problems")["left_out"] == {"no tests": ["a", "b"]}


def test_a_lower_limit_draws_some_of_the_same_problems(tmp_path: Path) -> None:
    paths = write(tmp_path, [row(number) for number in range(11, 41)])
    kept = []
    for limit in (5, 10):
        config = ProblemsConfig(Mbpp(), paths, max_problems=limit, check_gold=False)
        run(config, tmp_path, tmp_path / "problems")
        kept.append([problem.id for problem in read_problems(tmp_path / "problems")])
    assert len(kept[1]) == 10
    assert set(kept[0]) < set(kept[1])
    assert kept[1] == sorted(kept[1])
    assert read_manifest(tmp_path / "problems")["counts"]["over max_problems"] == 20


def test_nothing_to_read_says_what_to_do(tmp_path: Path) -> None:
    paths = write(tmp_path, [row(11)])
    for config, message in [
        (ProblemsConfig(Mbpp(split="train"), paths), "no problem can be used as mbpp"),
        (ProblemsConfig(Gsm8k(), paths), r"no column question \(1\)"),
        (ProblemsConfig(Mbpp()), "either paths or a dataset"),
        (ProblemsConfig(Mbpp(), ("absent.jsonl",)), "no file is at"),
    ]:
        with pytest.raises(StageError, match=message):
            run(config, tmp_path, tmp_path / "problems")
    assert not (tmp_path / "problems").exists()


@needs_bubblewrap
def test_problems_whose_tests_judge_nothing_are_left_out(tmp_path: Path) -> None:
    rows: list[Record] = [
        row(11),
        row(12) | {"code": "def add(a, b):\n    return a - b"},
        row(13) | {"test_list": ["assert undefined(add(1, 2)) == 3"]},
        row(14) | {"code": "import sys\ndef add(a, b):\n    sys.exit(0)"},
    ]
    config = ProblemsConfig(Mbpp(), write(tmp_path, rows), sandbox=SandboxConfig(workers=1))
    run(config, tmp_path, tmp_path / "problems")
    assert [problem.id for problem in read_problems(tmp_path / "problems")] == ["mbpp/11"]
    manifest = read_manifest(tmp_path / "problems")
    assert manifest["isolation"] == "bubblewrap"
    assert manifest["left_out"] == {
        "the reference does not pass (wrong)": ["mbpp/12"],
        "the reference does not pass (exception)": ["mbpp/14"],
        "a test fails before it calls the function (NameError)": ["mbpp/13"],
    }


def test_problems_of_another_stage_are_left_out_and_not_drawn(tmp_path: Path) -> None:
    rows = [
        {"task_id": n, "text": f"Do {n}.", "code": f"def f{n}():\n    return {n}\n"}
        | {"test_list": [f"assert f{n}() == {n}"]}
        for n in range(1, 31)
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    probe = ProblemsConfig(Mbpp(), ("rows.jsonl",), max_problems=10, check_gold=False)
    run(probe, tmp_path, tmp_path / "probe")
    run(replace(probe, without=("probe",)), tmp_path, tmp_path / "problems")
    held_out = {problem.id for problem in read_problems(tmp_path / "probe")}
    kept = {problem.id for problem in read_problems(tmp_path / "problems")}
    assert len(held_out) == len(kept) == 10
    assert not held_out & kept
    counts = read_manifest(tmp_path / "problems")["counts"]
    assert (counts["of another stage"], counts["over max_problems"]) == (10, 10)


@needs_bubblewrap
def test_a_problem_without_a_reference_is_checked_with_an_empty_program(tmp_path: Path) -> None:
    tests = [{"stdin": "", "stdout": text} for text in ("", "1")]
    rows: list[Record] = [
        {"id": "empty", "statement": "s", "tests": tests[:1]},
        {"id": "one", "statement": "s", "tests": tests},
    ]
    config = ProblemsConfig(
        Plain(problem="script"), write(tmp_path, rows), sandbox=SandboxConfig(workers=1)
    )
    run(config, tmp_path, tmp_path / "problems")
    assert read_manifest(tmp_path / "problems")["left_out"] == {
        "an empty program passes": ["empty"]
    }
    with pytest.raises(StageError, match=r"no reference \(2\)"):
        run(replace(config, require_gold=True), tmp_path, tmp_path / "none")


def test_problems_of_mathematics_need_no_sandbox(tmp_path: Path) -> None:
    paths = write(tmp_path, [{"question": "q", "answer": "#### 1"}])
    run(ProblemsConfig(Gsm8k(), paths), tmp_path, tmp_path / "problems")
    assert read_manifest(tmp_path / "problems")["isolation"] == ""


class Broken:
    """A sandbox that fails on every run."""

    isolation, workers = "broken", 1

    def run(self, program: Program, inputs: list[Input], limits: Limits) -> list[Outcome]:
        return [Outcome(Status.INFRASTRUCTURE)] * len(inputs)

    def close(self) -> None: ...
    def __enter__(self) -> "Broken":
        return self

    def __exit__(self, *_: object) -> None: ...


def test_a_failure_of_the_sandbox_leaves_no_problem_out(tmp_path: Path) -> None:
    problem = Mbpp().read(row(11))
    assert problem is not None
    left_out = LeftOut()
    with pytest.raises(StageError, match="the sandbox failed on 1 of 1 problems"):
        faults(Grader(Broken(), Limits()), [problem], 1, left_out)
    assert not left_out.places
