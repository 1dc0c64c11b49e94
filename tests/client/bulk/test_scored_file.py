"""Prompts with their candidates, of rows with lists and of rows with one candidate each."""

import json
from pathlib import Path

import pytest

from codepmp_client.bulk.exits import UsageError
from codepmp_client.bulk.scored_file import ScoredFile
from codepmp_client.bulk.scored_prompt import ScoredColumns, ScoredPrompt
from codepmp_client.bulk.tables import Record
from codepmp_client.bulk.tally import Tally

LISTS: Record = {
    "prompt": "p",
    "candidates": ["a", {"text": "b", "correct": True}, ["c", "d"], None, ""],
    "scores": [1.5, 2, 0.5, None, 0.1],
}


def read(
    tmp_path: Path,
    *rows: Record | str,
    columns: ScoredColumns = ScoredColumns(),  # noqa: B008 - frozen
    keep: tuple[str, ...] = (),
) -> tuple[list[ScoredPrompt], Tally]:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(f"{r if isinstance(r, str) else json.dumps(r)}\n" for r in rows))
    tally = Tally()
    return list(ScoredFile(str(path), columns, keep, tmp_path).prompts(tally)), tally


def candidates(prompt: ScoredPrompt) -> list[tuple[str, float, int, float | None]]:
    return [(each.text, each.score, each.index, each.label) for each in prompt.candidates]


def test_a_row_with_lists_is_a_prompt(tmp_path: Path) -> None:
    (prompt,), tally = read(tmp_path, LISTS)
    assert prompt.prompt == "p"
    assert candidates(prompt) == [("a", 1.5, 0, None), ("b", 2.0, 1, 1.0), ("cd", 0.5, 2, None)]
    assert tally.candidates_left_out == {"no score": 1, "empty text": 1}


def test_rows_of_one_prompt_are_found_anywhere_in_the_order_of_the_first(tmp_path: Path) -> None:
    message = {"role": "user", "content": "q"}
    rows: list[Record] = [
        {"prompt": f"p{n % 3}", "response": f"{n}", "score": float(n), "correct": n > 3}
        for n in range(6)
    ]
    rows.insert(2, {"messages": [message], "completion": "c", "score": 9, "id": 7})
    prompts, tally = read(tmp_path, *rows, keep=("id",))
    assert [prompt.prompt for prompt in prompts] == ["p0", "p1", [message], "p2"]
    assert candidates(prompts[1]) == [("1", 1.0, 0, 0.0), ("4", 4.0, 1, 1.0)]
    assert [prompt.row.number for prompt in prompts] == [1, 2, 3, 4]
    assert prompts[2].candidates[0].row["id"] == 7
    assert tally.rows == 7
    assert tally.missing_columns == {"id": 6}
    assert [path.name for path in tmp_path.iterdir()] == ["rows.jsonl"]


def test_other_columns_hold_scores_and_labels_if_they_are_named(tmp_path: Path) -> None:
    columns = ScoredColumns("normalized", "right")
    lists = LISTS | {"normalized": [3] * 5, "right": [1] * 5}
    (prompt,), _ = read(tmp_path, lists, columns=columns)
    assert candidates(prompt)[0] == ("a", 3.0, 0, 1.0)
    single: Record = {"prompt": "p", "candidate": "a", "normalized": -1, "right": 0.5}
    (prompt,), _ = read(tmp_path, single, columns=columns)
    assert candidates(prompt) == [("a", -1.0, 0, 0.5)]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("{", "not JSON"),
        (LISTS | {"scores": [1]}, "its scores are no list of 5"),
        (LISTS | {"scores": ["1"] * 5}, "a score is no number"),
        (LISTS | {"candidates": "a"}, "its candidates are no list"),
        (LISTS | {"prompt": None}, "neither a prompt nor messages"),
        ({"prompt": "p", "response": "a", "score": 1}, "have one each"),
    ],
)
def test_a_bad_row_is_left_out_with_its_number(
    tmp_path: Path, bad: Record | str, reason: str
) -> None:
    prompts, tally = read(tmp_path, LISTS, bad, LISTS)
    assert len(prompts) == 2
    assert (tally.rows, tally.rows_left_out) == (3, 1)
    assert tally.bad_rows[0].startswith("row 2: ")
    assert reason in tally.bad_rows[0]


@pytest.mark.parametrize("row", [{"prompt": "p", "response": "a"}, {"prompt": "p", "x": 1}, {}])
def test_a_file_whose_first_row_is_something_else_is_refused(tmp_path: Path, row: Record) -> None:
    with pytest.raises(UsageError, match="row 1: it has n"):
        read(tmp_path, row, LISTS)


def test_an_empty_file_has_no_prompts(tmp_path: Path) -> None:
    assert read(tmp_path)[0] == []
