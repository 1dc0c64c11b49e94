"""`codepmp-score pairs` as it is run: files in, files out, a summary, and exit codes."""

import json
from pathlib import Path

import pyarrow.parquet
import pytest
from datasets import load_dataset

from codepmp_client.bulk import cli
from codepmp_client.bulk.tables import Record

ROWS: list[Record] = [
    {
        "id": 1,
        "prompt": "p",
        "candidates": ["long answer", "short", "short", "none", "mid"],
        "scores": [1.5, -1.0, -1.0, None, 0.5],
    },
    {"id": 2, "prompt": "q", "candidates": ["a", "b"], "scores": [2.0, 2.0]},
    {"prompt": "r", "candidates": ["a"], "scores": [2.0]},
]


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    return written(tmp_path / "rows.jsonl", *ROWS)


def written(path: Path, *rows: Record) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def read(path: Path) -> list[Record]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def pairs(source: Path, target: Path, *flags: str) -> int:
    return cli.main(["pairs", str(source), str(target), *flags])


def test_trls_columns_with_scores_margin_and_what_is_kept(rows: Path, tmp_path: Path) -> None:
    assert pairs(rows, tmp_path / "out.jsonl", "--rule", "best-each", "--keep", "id") == 0
    base = {"prompt": "p", "chosen": "long answer", "chosen_score": 1.5, "id": 1}
    assert read(tmp_path / "out.jsonl") == [
        base | {"rejected": "mid", "rejected_score": 0.5, "margin": 1.0},
        base | {"rejected": "short", "rejected_score": -1.0, "margin": 2.5},
    ]


def test_the_summary_counts_everything_and_tells_the_length_bias(
    rows: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pairs(rows, tmp_path / "out.jsonl", "--rule", "margin", "--margin", "2", "--json") == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out) == {
        "rows": 3,
        "rows_left_out": 0,
        "bad_rows": [],
        "prompts": 3,
        "prompts_with_pairs": 1,
        "prompts_left_out": {
            "all scores are equal": 1,
            "fewer than two candidates to compare": 1,
        },
        "candidates_left_out": {"no score": 1, "same text as another one": 1},
        "pairs": 1,
        "pairs_left_out": {"less than the margin": 2},
        "chosen_longer": 1.0,
        "rejected_longer": 0.0,
        "mean_chosen_characters": 11.0,
        "mean_rejected_characters": 5.0,
        "mean_margin": 2.5,
    }
    assert "1 pairs from 1 of 3 prompts" in printed.err
    assert "the chosen answer is longer in 100.0% of the pairs" in printed.err
    assert "prompts left out: 1 (all scores are equal), 1 (fewer than two" in printed.err


def test_a_conversation_stays_one_and_a_text_becomes_one_on_request(
    rows: Path, tmp_path: Path
) -> None:
    turns = [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]
    single = [
        {"messages": turns, "response": text, "score": score, "by": text * 2}
        for text, score in [("good", 1), ("bad", 0)]
    ]
    talks = written(tmp_path / "talks.jsonl", *single)
    assert pairs(talks, tmp_path / "out.jsonl", "--keep", "by") == 0
    (row,) = read(tmp_path / "out.jsonl")
    assert row["prompt"] == turns
    assert row["chosen"] == [{"role": "assistant", "content": "good"}]
    assert row["rejected"] == [{"role": "assistant", "content": "bad"}]
    assert row["by"] == "goodgood"
    assert pairs(rows, tmp_path / "asked.jsonl", "--messages") == 0
    (row,) = read(tmp_path / "asked.jsonl")
    assert row["prompt"] == [{"role": "user", "content": "p"}]
    assert row["rejected"] == [{"role": "assistant", "content": "short"}]


def test_texts_and_conversations_in_one_file_need_a_decision(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    both: list[Record] = [
        {"prompt": prompt, "candidates": ["a", "b"], "scores": [1, 0]}
        for prompt in ("p", [{"role": "user", "content": "u"}])
    ]
    mixed = written(tmp_path / "mixed.jsonl", *both)
    assert pairs(mixed, tmp_path / "out.jsonl") == 1
    assert "row 1 has texts, and row 2 messages: --messages" in capsys.readouterr().err
    assert not (tmp_path / "out.jsonl").exists()
    assert pairs(mixed, tmp_path / "out.jsonl", "--messages") == 0
    assert len(read(tmp_path / "out.jsonl")) == 2


def test_parquet_in_and_out_and_as_datasets_reads_it(rows: Path, tmp_path: Path) -> None:
    table = tmp_path / "rows.parquet"
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(ROWS), table)
    assert pairs(table, tmp_path / "out.parquet", "--messages") == 0
    assert pairs(rows, tmp_path / "out.jsonl", "--messages") == 0
    from_parquet = load_dataset("parquet", data_files=str(tmp_path / "out.parquet"), split="train")
    from_json = load_dataset("json", data_files=str(tmp_path / "out.jsonl"), split="train")
    assert from_parquet.to_list() == from_json.to_list() == read(tmp_path / "out.jsonl")


def test_a_bad_row_is_named_and_the_exit_code_tells(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = written(tmp_path / "rows.jsonl", ROWS[0], {"prompt": "p"}, ROWS[0])
    assert pairs(source, tmp_path / "out.jsonl") == 3
    assert "1 rows cannot be read and are left out: row 2: " in capsys.readouterr().err
    assert len(read(tmp_path / "out.jsonl")) == 2


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--margin", "-1"], "--margin must be 0 or more"),
        (["--margin", "nan"], "--margin must be 0 or more"),
        (["--deviations", "1"], "--deviations is for the rules best-deviation and mean-deviation"),
        (["--rule", "mean-deviation", "--deviations", "-1"], "--deviations must be 0 or more"),
        (["--max-pairs-per-prompt", "0"], "--max-pairs-per-prompt must be 1 or more"),
        (["--keep", "margin"], "--keep margin: OUT has a column of its own with that name"),
        (["--scores-column", "other"], "there is no column other"),
    ],
)
def test_wrong_arguments_are_told_in_one_sentence(
    rows: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: list[str], message: str
) -> None:
    assert pairs(rows, tmp_path / "out.jsonl", *flags) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out.jsonl").exists()


def test_a_file_that_exists_is_replaced_only_by_force(
    rows: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = written(tmp_path / "out.jsonl", {"mine": 1})
    assert pairs(rows, target) == 1
    assert "give --force" in capsys.readouterr().err
    assert read(target) == [{"mine": 1}]
    assert pairs(rows, target, "--force", "--quiet") == 0
    assert len(read(target)) == 1
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("name", ["out.jsonl", "out.parquet"])
def test_a_file_without_a_pair_is_empty_and_no_success(
    rows: Path, tmp_path: Path, name: str
) -> None:
    assert pairs(rows, tmp_path / name, "--margin", "99") == 3
    if name.endswith(".parquet"):
        assert pyarrow.parquet.read_table(tmp_path / name).num_rows == 0
    else:
        assert read(tmp_path / name) == []
