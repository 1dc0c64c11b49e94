"""Rows in the shape of the data set, in both of its files' kinds."""

import json
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from tests.trainer.evaluation.made import RESAMPLING
from trainer.evaluation.benchmarks.code_reward_bench import read_questions, tables
from trainer.evaluation.load import load
from trainer.evaluation.measures.scored import ScoredQuestion
from trainer.evaluation.tasks import ASPECT_CRITERIA, CodeRewardBenchTask
from trainer.pipeline.stage import StageError


def row(number: int, aspect: str, language: str, subset: str) -> dict[str, str]:
    return {
        "id": f"{subset}_{number}",
        "prompt": f"Fix function {number}.",
        "chosen": f"int f() {{ return {number}; }}",
        "rejected": "int f();",
        "language": language,
        "aspect": aspect,
        "subset": subset,
    }


ROWS = [
    row(1, "Functional_Correctness", "Python", "RUNBUGRUN"),
    row(2, "Functional_Correctness", "CSharp", "RUNBUGRUN"),
    row(3, "Memory_Efficiency", "Cpp", "COMMITPREFS_MEMORY"),
    row(4, "Security_Hardness", "Cpp", "SECBENCH"),
]


def write(folder: Path, rows: list[dict[str, str]], name: str = "full.jsonl") -> Path:
    file = folder / name
    file.write_text("\n".join(map(json.dumps, rows)))
    return file


def test_json_lines_and_parquet_hold_the_same_questions(tmp_path: Path) -> None:
    lines = write(tmp_path, ROWS)
    # The texts of the published files are large strings, which have columns of their own kind.
    large = {name: pa.large_string() for name in ("prompt", "chosen", "rejected")}
    schema = pa.schema([(name, large.get(name, pa.string())) for name in ROWS[0]])
    parquet.write_table(
        pa.Table.from_pylist(ROWS, schema), tmp_path / "Full-00000-of-00001.parquet"
    )
    questions = read_questions(tmp_path / "Full-00000-of-00001.parquet", ASPECT_CRITERIA)
    assert questions == read_questions(lines, ASPECT_CRITERIA)
    first = questions[0]
    assert (first.correct, first.language, first.source) == ((True, False), "Python", "RUNBUGRUN")
    assert [question.aspect for question in questions] == [
        *("correctness", "correctness", "memory", "security")
    ]


def test_a_tie_is_half_right_and_strictly_wrong(tmp_path: Path) -> None:
    questions = read_questions(write(tmp_path, ROWS), ASPECT_CRITERIA)
    scores = [(1.0, 0.0), (0.5, 0.5), (0.0, 1.0), (2.0, 1.0)]
    scored = [ScoredQuestion(*pair) for pair in zip(questions, scores, strict=True)]
    by_aspect, by_language, by_subset = tables(scored, RESAMPLING)
    figures = {
        name: (found["model"].value, found["strict"].value)
        for name, found in by_aspect.rows.items()
    }
    assert figures == {
        "overall": (0.625, 0.5),
        "Functional_Correctness": (0.75, 0.5),
        "Memory_Efficiency": (0.0, 0.0),
        "Security_Hardness": (1.0, 1.0),
    }
    assert {name: found["model"].value for name, found in by_language.rows.items()} == {
        "CSharp": 0.5,
        "Cpp": 0.5,
        "Python": 1.0,
    }
    assert by_subset.rows["RUNBUGRUN"]["model"].n == 2
    overall = by_aspect.rows["overall"]
    assert list(overall) == ["model", "strict", "length_only", "random"]
    assert (overall["length_only"].value, overall["random"].value) == (1.0, 0.5)


def test_rows_that_lie_in_several_files_count_once(tmp_path: Path) -> None:
    write(tmp_path, ROWS)
    write(tmp_path, ROWS[:1], "python.jsonl")
    loaded = load(CodeRewardBenchTask(("*.jsonl",)), tmp_path, 1)
    assert len(loaded.questions) == 4
    assert loaded.counts == {"the same row again": 1}


def test_an_aspect_may_have_a_criterion_of_another_name_or_none(tmp_path: Path) -> None:
    file = write(tmp_path, ROWS)
    questions = read_questions(file, {"Memory_Efficiency": "cost"})
    assert [question.aspect for question in questions] == ["", "", "cost", ""]


def test_a_row_without_a_column_is_refused(tmp_path: Path) -> None:
    without = {name: value for name, value in ROWS[0].items() if name != "aspect"}
    with pytest.raises(StageError, match="row 1: aspect missing; it has: chosen, id"):
        read_questions(write(tmp_path, [without]), ASPECT_CRITERIA)
