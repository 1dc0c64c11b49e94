"""The stage reads problems, and says which are left out and why."""

import json
from pathlib import Path

import pytest

from trainer.feedback.problem import read_problems
from trainer.feedback.problems import ProblemsConfig, run
from trainer.feedback.readers.gsm8k import Gsm8k
from trainer.feedback.readers.mbpp import Mbpp
from trainer.feedback.readers.plain import Plain
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
    run(ProblemsConfig(Mbpp(split="test"), paths), tmp_path, tmp_path / "problems")
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
    run(ProblemsConfig(Mbpp(), write(tmp_path, rows)), tmp_path, tmp_path / "problems")
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
        config = ProblemsConfig(Plain(), paths, unlabelled=unlabelled)
        run(config, tmp_path, tmp_path / "problems")
        assert [each.id for each in read_problems(tmp_path / "problems")] == expected
    run(ProblemsConfig(Plain(), paths), tmp_path, tmp_path / "problems")
    assert read_manifest(tmp_path / "problems")["left_out"] == {"no tests": ["a", "b"]}


def test_a_lower_limit_draws_some_of_the_same_problems(tmp_path: Path) -> None:
    paths = write(tmp_path, [row(number) for number in range(11, 41)])
    kept = []
    for limit in (5, 10):
        config = ProblemsConfig(Mbpp(), paths, max_problems=limit)
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
