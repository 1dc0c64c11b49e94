"""The format of a file is told by its columns and rows, and nothing is guessed."""

import json
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.pipeline.stage import StageError
from trainer.preferences.detect import detect
from trainer.preferences.source import PreferenceSource, rate
from trainer.tables.record import Unusable

MESSAGES = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
WORSE = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "b"}]
ROWS: dict[str, dict[str, object]] = {
    "trl": {"prompt": "q", "chosen": "a", "rejected": "b"},
    "trl of conversations": {"chosen": MESSAGES, "rejected": WORSE},
    "trl by other names": {"question": "q", "chosen_response": "a", "rejected_response": "b"},
    "trl with scores": {
        "prompt": "q",
        "prompt_id": "1",
        "chosen": MESSAGES,
        "rejected": WORSE,
        "messages": MESSAGES,
        "score_chosen": 8.0,
        "score_rejected": 3.0,
    },
    "hh": {"chosen": "\n\nHuman: q\n\nAssistant: a", "rejected": "\n\nHuman: q\n\nAssistant: b"},
    "labelled": {
        "id": 1,
        "prompt": "q",
        "reference": "a",
        "candidates": [{"model": "m", "text": "a", "correct": True}],
    },
    "ultrafeedback": {
        "instruction": "q",
        "completions": [
            {"response": "a", "fine-grained_score": 4.0, "overall_score": 8, "model": "m"}
        ],
    },
    "ultrafeedback of lists": {"prompt": "q", "candidates": ["a", "b"], "scores": [1.0, 0.5]},
    "stepwise": {"prompt": "q", "completions": ["a", "b"], "labels": [True, False]},
    "math_shepherd": {"input": "q Step 1: a ки", "label": "q Step 1: a +", "task": "GSM8K"},
    "multiple_choice": {"context": "p", "question": "q", "answers": ["a", "b"], "label": 1},
    "multiple_choice by other names": {
        "id": 1,
        "answer": 1,
        "text": "p",
        "question": "q",
        "options": ["a", "b"],
    },
    "unpaired": {"prompt": "q", "completion": "a", "label": True},
    "compared": {"prompt": "q", "response_a": "a", "response_b": "b", "winner": "model_b"},
    "compared by number": {
        "instruction": "q",
        "response_0": "a",
        "response_1": "b",
        "better_response_id": 1,
    },
    "unpaired with scores": {"prompt": "q", "response": "a", "score": 0.5},
}


def written(folder: Path, *rows: object) -> Path:
    file = folder / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


@pytest.mark.parametrize("shape", ROWS)
def test_a_file_of_each_shape_is_read_as_its_format(shape: str, tmp_path: Path) -> None:
    written(tmp_path, *[ROWS[shape]] * 3)
    found = detect("rows.jsonl", tmp_path)
    assert found.format.kind == shape.split(" ", maxsplit=1)[0]
    assert "3 of its first 3 rows" in found.reason


def test_a_table_of_csv_or_parquet_is_told_by_its_columns(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('prompt,chosen,rejected\n"q, or",a,b\n')
    (tmp_path / "b.csv").write_text("prompt;chosen;rejected\nq, or;a;b\n")
    pq.write_table(pa.Table.from_pylist([ROWS["trl"]]), tmp_path / "c.parquet")
    for name in ("a.csv", "b.csv", "c.parquet"):
        assert detect(name, tmp_path).format.kind == "trl"


def test_rows_that_cannot_be_read_do_not_hide_the_format_of_the_others(tmp_path: Path) -> None:
    written(tmp_path, {"note": "x"}, *[ROWS["trl"]] * 2)
    assert "2 of its first 3 rows" in detect("rows.jsonl", tmp_path).reason


def test_an_empty_list_in_the_first_row_does_not_hide_the_candidates(tmp_path: Path) -> None:
    written(tmp_path, ROWS["labelled"] | {"candidates": []}, {"x": 1}, ROWS["labelled"])
    assert detect("rows.jsonl", tmp_path).format.kind == "labelled"


@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(sorted({column for row in ROWS.values() for column in row})),
            st.none()
            | st.booleans()
            | st.integers()
            | st.text(max_size=3)
            | st.sampled_from([value for row in ROWS.values() for value in row.values()]),
        ),
        max_size=4,
    )
)
def test_whatever_a_file_holds_it_is_read_so_or_refused_in_a_sentence(
    rows: list[dict[str, object]],
) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        written(folder, *rows)
        try:
            found = detect("rows.jsonl", folder)
        except StageError:
            return
        source = PreferenceSource("rows", found.format)
        read = 0
        for row in rows:
            with suppress(Unusable):
                rate(source, row)
                read += 1
    assert read
    assert f"{read} of its first {len(rows)} rows" in found.reason


def test_where_two_formats_read_the_rows_the_user_is_asked(tmp_path: Path) -> None:
    written(tmp_path, ROWS["trl"] | ROWS["labelled"])
    with pytest.raises(StageError, match=r"as trl .* or as labelled .*--format trl or --fo"):
        detect("rows.jsonl", tmp_path)
    assert detect("rows.jsonl", tmp_path, "labelled").format.kind == "labelled"


def test_columns_can_be_named(tmp_path: Path) -> None:
    written(tmp_path, {"ask": "q", "yes": "a", "no": "b"})
    with pytest.raises(StageError, match="has the columns ask, yes, no, which are those of no"):
        detect("rows.jsonl", tmp_path)
    named = {"prompt": "ask", "chosen": "yes", "rejected": "no"}
    found = detect("rows.jsonl", tmp_path, named=named).format
    assert (found.kind, found.columns) == ("trl", ("yes", "no"))
    with pytest.raises(StageError, match=r"rows\.jsonl has no column yess"):
        detect("rows.jsonl", tmp_path, named={"chosen": "yess"})
    with pytest.raises(StageError, match="did you mean chosen"):
        detect("rows.jsonl", tmp_path, named={"choosen": "yes"})
    with pytest.raises(StageError, match="did you mean labelled"):
        detect("rows.jsonl", tmp_path, "labeled")


def test_the_column_of_the_criterion_may_be_named_for_any_format(tmp_path: Path) -> None:
    written(tmp_path, ROWS["trl"] | {"dimension": "runtime", "aspect": 3})
    with pytest.raises(StageError, match="aspect is not the name of a criterion"):
        detect("rows.jsonl", tmp_path)
    found = detect("rows.jsonl", tmp_path, named={"aspect": "dimension"})
    assert (found.format.kind, found.aspect) == ("trl", "dimension")
    with pytest.raises(StageError, match="has no column dimensio; did you mean dimension"):
        detect("rows.jsonl", tmp_path, named={"aspect": "dimensio"})
