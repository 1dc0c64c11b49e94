"""`codepmp-score best` as it is run: picks, their accuracy, and exit codes."""

import json
from pathlib import Path

import pyarrow.parquet
import pytest

from codepmp_client.bulk import cli
from codepmp_client.bulk.tables import Record
from tests.client.bulk.test_pairs_command import read, written


def best(source: Path, target: Path, *flags: str) -> int:
    return cli.main(["best", str(source), str(target), *flags])


def test_the_best_of_each_prompt_ties_by_index_and_a_prompt_without_scores(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows: list[Record] = [
        {"id": 1, "prompt": "p", "candidates": ["a", "b", "c"], "scores": [None, 2.0, 2.0]},
        {"id": 2, "prompt": "q", "candidates": ["a"], "scores": [None]},
    ]
    source = written(tmp_path / "rows.jsonl", *rows)
    assert best(source, tmp_path / "out.jsonl", "--keep", "id", "--top", "5") == 3
    assert read(tmp_path / "out.jsonl") == [
        {
            **{"prompt": "p", "id": 1, "best": "b", "best_index": 1, "score": 2.0},
            **{"top": ["b", "c"], "top_indices": [1, 2], "top_scores": [2.0, 2.0]},
        },
        {
            **{"prompt": "q", "id": 2, "best": None, "best_index": None, "score": None},
            **{"top": [], "top_indices": [], "top_scores": []},
        },
    ]
    assert "a best candidate for 1 of 2 prompts" in capsys.readouterr().err
    assert best(source, tmp_path / "out.parquet", "--top", "1") == 3
    table = pyarrow.parquet.read_table(tmp_path / "out.parquet")
    assert str(table.schema.field("best_index").type) == "int64"
    assert table["top_indices"].to_pylist() == [[1], []]


def test_labels_give_the_expected_accuracy_for_each_n(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows: list[Record] = [
        {
            "prompt": f"p{n}",
            "candidates": [{"text": f"{i}", "correct": i == n} for i in range(3)],
            "scores": [1.0, 2.0, 3.0],
        }
        for n in range(3)
    ]
    rows.append({"prompt": "none", "candidates": ["a", "b", "c"], "scores": [1.0, 2.0, 3.0]})
    source = written(tmp_path / "rows.jsonl", *rows)
    assert best(source, tmp_path / "out.jsonl", "--json") == 0
    assert [row.get("correct") for row in read(tmp_path / "out.jsonl")] == [0.0, 0.0, 1.0, None]
    printed = capsys.readouterr()
    facts = json.loads(printed.out)
    assert (facts["prompts_in_accuracy"], facts["prompts_without_labels"]) == (3, 1)
    one, two, every = facts["accuracy"]
    assert (one["n"], two["n"], every["n"]) == (1, 2, "all")
    # The right one is the best in 0, 1 and 2 of the 3 draws of two.
    assert two["best_of_n"]["value"] == pytest.approx(1 / 3)
    assert two["oracle"]["value"] == pytest.approx(2 / 3)
    assert every["mean"] == {"value": pytest.approx(1 / 3), "interval": [pytest.approx(1 / 3)] * 2}
    table = [line.split() for line in printed.err.splitlines()]
    assert ["n", "best", "of", "n", "mean", "oracle"] in table
    assert "1 prompts have candidates without a label" in printed.err


def test_labels_of_a_named_column_in_rows_with_one_candidate(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows: list[Record] = [
        {"messages": [{"role": "user", "content": "u"}], "response": r, "score": s, "right": right}
        for r, s, right in [("a", 0, False), ("b", 1, True)]
    ]
    source = written(tmp_path / "rows.jsonl", *rows)
    flags = ["--labels-column", "right", "--json", "--quiet", "--keep", "right"]
    assert best(source, tmp_path / "out.jsonl", *flags) == 0
    (row,) = read(tmp_path / "out.jsonl")
    assert row == {
        "messages": [{"role": "user", "content": "u"}],
        **{"right": True, "best": "b", "best_index": 1, "score": 1.0, "correct": 1.0},
    }
    printed = capsys.readouterr()
    assert [point["best_of_n"]["value"] for point in json.loads(printed.out)["accuracy"]] == [
        0.5,
        1,
    ]
    assert printed.err == ""


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--top", "0"], "--top must be 1 or more"),
        (["--keep", "best"], "--keep best: OUT has a column of its own with that name"),
        (["--labels-column", "right"], "there is no column right: --labels-column names"),
    ],
)
def test_wrong_arguments_are_told_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: list[str], message: str
) -> None:
    source = written(tmp_path / "rows.jsonl", {"prompt": "p", "candidates": ["a"], "scores": [1]})
    assert best(source, tmp_path / "out.jsonl", *flags) == 2
    assert message in capsys.readouterr().err
