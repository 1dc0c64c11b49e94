"""Prompts with their candidates, of rows with lists and of rows with one candidate each."""

import json
from pathlib import Path

import pytest

from codepmp_client.bulk import cli
from codepmp_client.bulk.exits import UsageError
from codepmp_client.bulk.progress import Progress
from codepmp_client.bulk.scored_arguments import scored_file
from codepmp_client.bulk.scored_prompt import ScoredPrompt
from codepmp_client.bulk.tables import Record, TableError
from codepmp_client.bulk.tally import Tally

LISTS: Record = {
    "prompt": "p",
    "candidates": [{"text": "a"}, {"text": "b", "correct": True}, {"text": "c"}],
    "scores": [1.5, 2, None],
}


def read(tmp_path: Path, *rows: Record | str, flags: str = "") -> tuple[list[ScoredPrompt], Tally]:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(f"{r if isinstance(r, str) else json.dumps(r)}\n" for r in rows))
    command = ["best", str(path), str(tmp_path / "out"), *flags.split()]
    options = cli.parser().parse_args(command)
    tally = Tally()
    file = scored_file(options, (), options.labels_column)
    return list(file.prompts(tally, Progress("best", quiet=True))), tally


def candidates(prompt: ScoredPrompt) -> list[tuple[str, float, int, float | None]]:
    return [(each.text, each.score, each.index, each.label) for each in prompt.candidates]


def test_a_row_with_lists_is_a_prompt(tmp_path: Path) -> None:
    (prompt,), tally = read(tmp_path, LISTS)
    assert prompt.prompt == "p"
    assert candidates(prompt) == [("a", 1.5, 0, None), ("b", 2.0, 1, 1.0)]
    assert tally.candidates_left_out == {"no score": 1}


def test_rows_of_one_prompt_are_found_anywhere_in_the_order_of_the_first(tmp_path: Path) -> None:
    rows: list[Record] = [
        {"prompt": f"p{n % 3}", "response": f"{n}", "score": float(n), "correct": n > 3}
        for n in range(6)
    ]
    rows[2]["id"] = 7
    prompts, tally = read(tmp_path, *rows, flags="--keep id")
    assert [prompt.prompt for prompt in prompts] == ["p0", "p1", "p2"]
    assert candidates(prompts[1]) == [("1", 1.0, 0, 0.0), ("4", 4.0, 1, 1.0)]
    assert [prompt.number for prompt in prompts] == [1, 2, 3]
    assert [each.kept for each in prompts[2].candidates] == [{"id": 7}, {"id": None}]
    assert tally.rows == 6
    assert tally.missing_columns == {"id": 5}
    assert [path.name for path in tmp_path.iterdir()] == ["rows.jsonl"]


def test_conversations_that_end_on_the_answer_are_grouped_by_what_comes_before(
    tmp_path: Path,
) -> None:
    rows: list[Record] = [
        {
            "messages": [
                {"role": "user", "content": "u"},
                {"role": "assistant", "content": answer},
            ],
            "score": score,
        }
        for answer, score in [("a", 1), ("b", 2)]
    ]
    (prompt,), _ = read(tmp_path, *rows)
    assert prompt.prompt == [{"role": "user", "content": "u"}]
    assert candidates(prompt) == [("a", 1.0, 0, None), ("b", 2.0, 1, None)]


def test_lines_of_openais_batch_format(tmp_path: Path) -> None:
    body = {"messages": [{"role": "user", "content": "u"}], "candidates": ["a", "b"]}
    (prompt,), _ = read(tmp_path, {"custom_id": "1", "body": body, "scores": [0, 1]})
    assert candidates(prompt) == [("a", 0.0, 0, None), ("b", 1.0, 1, None)]


def test_other_columns_hold_scores_and_labels_if_they_are_named(tmp_path: Path) -> None:
    flags = "--scores-column normalized --labels-column right"
    lists = LISTS | {"normalized": [3] * 3, "right": [1] * 3}
    (prompt,), _ = read(tmp_path, lists, flags=flags)
    assert candidates(prompt)[0] == ("a", 3.0, 0, 1.0)
    single: Record = {"prompt": "p", "candidate": "a", "normalized": -1, "right": 0.5}
    (prompt,), _ = read(tmp_path, single, flags=flags)
    assert candidates(prompt) == [("a", -1.0, 0, 0.5)]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("{", "not JSON"),
        (LISTS | {"scores": [1]}, "scores is no list of 3"),
        (LISTS | {"scores": 1}, "scores is no list of 3"),
        (LISTS | {"scores": ["1"] * 3}, "scores holds something that is no number"),
        (LISTS | {"scores": [10**400] * 3}, "scores holds a number that is too large"),
        (LISTS | {"candidates": "a"}, "candidates is not a list"),
        (LISTS | {"prompt": None}, "prompt is missing"),
        ({"prompt": "p", "candidates": ["a"]}, "there is no column scores"),
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


def test_a_row_that_rows_could_not_score_has_candidates_without_scores(tmp_path: Path) -> None:
    prompts, tally = read(tmp_path, LISTS, LISTS | {"scores": None, "errors": ["invalid_row: x"]})
    assert [len(prompt.candidates) for prompt in prompts] == [2, 0]
    assert tally.candidates_left_out == {"no score": 4}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"prompt": "p", "response": "a"}, "there is no column score: score the file"),
        ({"prompt": "p", "x": 1}, "no column is known as the candidates"),
        ({}, "no column is known as the prompt"),
    ],
)
def test_a_file_whose_first_row_is_something_else_is_refused(
    tmp_path: Path, row: Record, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        read(tmp_path, row, LISTS)


def test_a_file_that_does_not_begin_with_a_row_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="does not begin with rows: line 1 is not JSON"):
        read(tmp_path, "{", LISTS)


def test_an_empty_file_has_no_prompts(tmp_path: Path) -> None:
    assert read(tmp_path)[0] == []
