import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.pairs.row import PreferenceRow
from trainer.pipeline.stage import StageError
from trainer.preferences.formats.labelled import Labelled
from trainer.preferences.formats.math_shepherd import MathShepherd
from trainer.preferences.formats.multiple_choice import MultipleChoice
from trainer.preferences.formats.trl import Trl
from trainer.preferences.formats.unpaired import Unpaired
from trainer.preferences.source import (
    Dataset,
    PreferenceSource,
    ReadingReport,
    convert,
    read_records,
)
from trainer.tables.record import Record

DATA = Path(__file__).parents[4] / "shared" / "data"
"""Beside the checkout; absent in most places."""

PAIR: Record = {"prompt": "p", "chosen": "a", "rejected": "b"}


def file_of(folder: Path, rows: list[Record]) -> Path:
    file = folder / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def converted(
    folder: Path, rows: list[Record], source: PreferenceSource
) -> tuple[list[PreferenceRow], ReadingReport]:
    file_of(folder, rows)
    report = ReadingReport()
    return convert(source, folder, 1, report), report


TRL = PreferenceSource("s", Trl(), ("rows.jsonl",))
values = st.sampled_from(["", "a", "b", "c", None, 1, [], [{"role": "user", "content": "x"}]])
records = st.fixed_dictionaries(dict.fromkeys(("prompt", "chosen", "rejected"), values))


@given(st.lists(records, max_size=8))
def test_every_row_read_ends_in_exactly_one_count(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Record]
) -> None:
    folder = tmp_path_factory.mktemp("source")
    made, report = converted(folder, [PAIR, *rows], TRL)
    assert sum(report.read.values()) == 1 + len(rows)
    assert report.read["used"] == len(made)
    assert report.first.keys() == report.read.keys() - {"used"}


def test_a_reason_says_where_it_was_met_first(tmp_path: Path) -> None:
    _, report = converted(tmp_path, [PAIR, {"prompt": "p"}, PAIR | {"chosen": "b"}, {}], TRL)
    assert report.read == {
        "used": 1,
        "no column chosen": 2,
        "the answers are empty or the same text": 1,
    }
    assert report.first["no column chosen"] == "rows.jsonl:2"
    assert report.first["the answers are empty or the same text"] == "rows.jsonl:3"


def test_solutions_of_one_problem_are_gathered_from_all_rows(tmp_path: Path) -> None:
    solutions = [("1 + 1", "+"), ("3", "-"), ("2", "+"), ("4", "-")]
    rows: list[Record] = [
        {"input": f"Two? Step 1: {text} ки", "label": f"Two? Step 1: {text} {mark}"}
        for text, mark in solutions
    ]
    alone: Record = {"input": "Three? Step 1: 3 ки", "label": "Three? Step 1: 3 +"}
    source = PreferenceSource("s", MathShepherd(), ("rows.jsonl",))
    made, report = converted(tmp_path, [*rows, alone], source)
    assert {row.chosen for row in made} == {"Step 1: 1 + 1", "Step 1: 2"}
    assert all({r.text for r in row.rejected} == {"Step 1: 3", "Step 1: 4"} for row in made)
    assert report.read == {"used": 4, "no answer is better than another": 1}


def test_another_shape_says_what_was_expected_and_seen_and_quotes_no_text(tmp_path: Path) -> None:
    row: Record = {"question": "secret", "label": 1, "x" * 99: 1}
    with pytest.raises(StageError) as refusal:
        converted(tmp_path, [row], TRL)
    message = str(refusal.value)
    assert "trl expects the columns chosen, rejected" in message
    assert "first row has question, label, x" in message
    assert "secret" not in message
    assert "x" * 41 not in message


def test_a_file_that_is_not_json_is_refused_without_quoting_it(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text("secret,chosen\n")
    with pytest.raises(StageError, match=r"rows\.jsonl: expected JSON Lines, .* not JSON") as error:
        convert(TRL, tmp_path, 1, ReadingReport())
    assert "secret" not in str(error.value)


def test_a_source_that_yields_nothing_says_why(tmp_path: Path) -> None:
    rows = [PAIR | {"chosen": "secret", "rejected": "secret"}] * 2
    with pytest.raises(StageError, match=r"same text \(2, first at rows\.jsonl:1\)") as refusal:
        converted(tmp_path, rows, TRL)
    assert "secret" not in str(refusal.value)
    with pytest.raises(StageError, match="no rows"):
        converted(tmp_path, [], TRL)


def test_a_column_may_name_the_group(tmp_path: Path) -> None:
    source = PreferenceSource("s", Trl(), ("rows.jsonl",), group="repository", weight=0.5)
    made, _ = converted(tmp_path, [PAIR | {"repository": "r"}], source)
    assert [(row.group, row.weight, row.source) for row in made] == [("s/r", 0.5, "s")]
    with pytest.raises(StageError, match="chosen, rejected, repository"):
        converted(tmp_path, [PAIR], source)


def test_columns_that_nothing_reads_are_counted(tmp_path: Path) -> None:
    beside: Record = {"system": "Be brief.", "margin": 1, "critique": "good", "notes": ""}
    _, report = converted(tmp_path, [PAIR | beside, PAIR | {"notes": "x" * 99, "y" * 99: 1}], TRL)
    assert report.facts()["ignored"] == {"critique": 1, "notes": 1, "y" * 40: 1}


LOGIC = MultipleChoice(options="options", answer="answer")


@pytest.mark.skipif(not DATA.is_dir(), reason="needs the open data beside the checkout")
@pytest.mark.parametrize(
    ("path", "how", "min_share"),
    [
        ("candidates/cruxeval_output_n10.jsonl.gz", Labelled(), 0.1),
        ("candidates/gsm8k_test_first660.jsonl.gz", Labelled(family="[^/]+"), 0.9),
        ("logic_llm/AR-LSAT_dev.json.gz", LOGIC, 1),
        ("logic_llm/FOLIO_dev.json", LOGIC, 1),
        ("logic_llm/ProntoQA_dev.json.gz", LOGIC, 1),
        (
            "logiqa2/dev.txt.gz",
            MultipleChoice("multiple_choice", "text", "question", "options", "answer"),
            0.99,
        ),
    ],
)
def test_open_data_is_read_nearly_whole(
    path: str, how: Labelled | MultipleChoice, min_share: float
) -> None:
    """Cruxeval's problems are mostly solved by all samples, or by none."""
    report = ReadingReport()
    rows = convert(PreferenceSource("s", how, (path,)), DATA, 1, report)
    assert rows
    assert report.read["used"] >= min_share * sum(report.read.values())


FOLDER_ROWS: list[Record] = [{"n": 1, "text": "zwölf"}, {"n": 2, "text": "[x]"}]


def test_a_dataset_may_be_a_folder(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text("\n".join(map(json.dumps, FOLDER_ROWS)))
    assert list(Dataset(str(tmp_path)).read()) == list(enumerate(FOLDER_ROWS, start=1))


def test_a_dataset_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StageError, match=r"the data set .*absent cannot be read"):
        list(Dataset(str(tmp_path / "absent")).read())


def test_a_folder_is_its_files_in_order_and_each_row_says_where_it_is(tmp_path: Path) -> None:
    for name in ("b.jsonl", "a.jsonl"):
        (tmp_path / name).write_text(json.dumps(PAIR) + "\n")
    (tmp_path / "notes.md").touch()
    places = [place for place, _ in read_records(PreferenceSource("s", Trl(), (".",)), tmp_path)]
    assert places == ["a.jsonl:1", "b.jsonl:1"]
    with pytest.raises(StageError, match="no file is at"):
        list(read_records(PreferenceSource("s", Trl(), ("absent",)), tmp_path))


def test_a_row_is_of_the_criterion_that_its_aspect_names(tmp_path: Path) -> None:
    rows = [PAIR | {"aspect": " readability "}, PAIR | {"prompt": "q"}, PAIR | {"aspect": None}]
    made, report = converted(tmp_path, rows, TRL)
    assert sorted(row.aspect for row in made) == ["", "", "readability"]
    assert not report.ignored
    # The same pair by two criteria is two rows; without a criterion, ids are what they always were.
    assert len({row.id for row in made}) == 3


def test_a_named_aspect_column_is_in_every_row_and_an_empty_name_reads_none(tmp_path: Path) -> None:
    rows = [PAIR | {"dimension": "runtime"}, PAIR | {"prompt": "q"}]
    made, report = converted(tmp_path, rows, replace(TRL, aspect="dimension"))
    assert [row.aspect for row in made] == ["runtime"]
    assert report.read["no column dimension"] == 1
    made, report = converted(tmp_path, [PAIR | {"aspect": 3}], replace(TRL, aspect=""))
    assert [row.aspect for row in made] == [""]
    assert report.ignored == {"aspect": 1}


def test_answers_by_different_criteria_are_never_compared(tmp_path: Path) -> None:
    rows: list[Record] = [
        {"prompt": "p", "completion": completion, "label": label, "aspect": aspect}
        for aspect, good, bad in (("runtime", "fast", "clear"), ("readability", "clear", "fast"))
        for completion, label in ((good, True), (bad, False))
    ]
    made, _ = converted(tmp_path, rows, PreferenceSource("s", Unpaired(), ("rows.jsonl",)))
    assert {(row.aspect, row.chosen, row.rejected[0].text) for row in made} == {
        ("runtime", "fast", "clear"),
        ("readability", "clear", "fast"),
    }
