import gzip
import json
import lzma
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from trainer.pipeline.stage import StageError
from trainer.tables.files import absolute, find_files, read_file
from trainer.tables.record import Record, Unusable

ROWS: list[Record] = [{"n": 1, "text": "zwölf"}, {"n": 2, "text": "[x]\n"}]
LINES = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS)


def write(file: Path) -> Path:
    match file.name:
        case "rows.parquet":
            parquet.write_table(pyarrow.Table.from_pylist(ROWS), file)
        case "rows.json":
            file.write_text(json.dumps(ROWS, indent=1), encoding="utf-8")
        case "rows.json.gz":
            file.write_bytes(gzip.compress(json.dumps(ROWS).encode()))
        case "rows.txt.gz":
            file.write_bytes(gzip.compress(LINES.encode()))
        case "rows.jsonl.xz":
            file.write_bytes(lzma.compress(LINES.encode()))
        case "marked.jsonl":
            file.write_text(LINES, encoding="utf-8-sig")
        case _:
            file.write_text(LINES, encoding="utf-8")
    return file


@pytest.mark.parametrize(
    "name",
    [
        "rows.parquet",
        "rows.json",
        "rows.json.gz",
        "rows.txt.gz",
        "rows.jsonl.xz",
        "rows.jsonl",
        "marked.jsonl",
    ],
)
def test_every_kind_of_file_has_the_same_rows(tmp_path: Path, name: str) -> None:
    assert list(read_file(write(tmp_path / name))) == list(enumerate(ROWS, start=1))


def test_a_damaged_line_costs_that_line_and_keeps_its_number(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('{"n": 1}\n\n{"n": \n[2]\n{"n": 3}\n' + "[" * 100_000)
    found = list(read_file(file))
    assert [number for number, _ in found] == [1, 3, 4, 5, 6]
    reasons = [str(record) for _, record in found if isinstance(record, Unusable)]
    assert reasons == ["not JSON", "not an object", "not JSON"]


def test_half_a_character_costs_its_row_alone(tmp_path: Path) -> None:
    rows = '[{"n": "\\ud83d\\ude42"}, {"n": ["ok \\ud83d"]}, {"\\udc00": 1}, {"n": 4}]'
    file = tmp_path / "rows.json"
    for text in (rows, rows[1:-1].replace("}, ", "}\n")):
        file.write_text(text)
        found = [record for _, record in read_file(file)]
        assert found[::3] == [{"n": "\U0001f642"}, {"n": 4}]
        assert all("half of a character" in str(record) for record in found[1:3])


@pytest.mark.parametrize(
    "content",
    [b"prompt,chosen\n", b'[{"n": 1},', b'{"text": "zw\xf6lf"}', b"[" * 100_000],
    ids=["csv", "cut array", "latin", "deep"],
)
def test_a_file_that_is_not_json_is_left_to_the_caller(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_bytes(content)
    [(number, reason)] = read_file(file)
    assert (number, str(reason)) == (1, "not JSON")


def test_json_that_was_written_twice_is_to_be_parsed(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text(json.dumps(json.dumps({"n": 1})) + "\n")
    [(_, reason)] = read_file(file)
    assert "JSON that was written twice, parse it" in str(reason)


def test_objects_of_parquet_have_no_members_that_their_row_lacks(tmp_path: Path) -> None:
    rows = [{"turns": [{"role": "user"}, {"role": "tool", "id": "1"}]}]
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "rows.parquet")
    assert list(read_file(tmp_path / "rows.parquet")) == [(1, rows[0])]


def test_json_lines_may_begin_with_an_array(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('[1]\n{"n": 1}\n')
    [(_, reason), row] = read_file(file)
    assert str(reason) == "not an object"
    assert row == (2, {"n": 1})


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("rows.parquet", b"PAR2"),
        ("rows.jsonl.gz", b"no gzip"),
        ("cut.jsonl.gz", gzip.compress(LINES.encode() * 99, mtime=0)[:-20]),
        ("cut.jsonl.xz", lzma.compress(LINES.encode() * 99)[:-20]),
    ],
)
def test_a_file_of_another_kind_is_refused_without_quoting_it(
    tmp_path: Path, name: str, content: bytes
) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(StageError, match=name) as refusal:
        list(read_file(file))
    assert "chosen" not in str(refusal.value)


def test_only_wanted_columns_of_parquet_are_read(tmp_path: Path) -> None:
    file = write(tmp_path / "rows.parquet")
    rows = read_file(file, choose=lambda present: [name for name in present if name == "n"])
    assert [row for _, row in rows] == [{"n": 1}, {"n": 2}]


@pytest.mark.parametrize("folder", ["work", "work[1]"])
def test_files_are_found_by_path_pattern_and_folder(tmp_path: Path, folder: str) -> None:
    work = tmp_path / folder
    (work / "data").mkdir(parents=True)
    for name in ("b.jsonl", "a.json", "notes.md"):
        (work / "data" / name).write_text(LINES)

    def found(place: str) -> list[str]:
        return [Path(file.path).name for file in find_files(place, work)]

    assert found("data/b.jsonl") == ["b.jsonl"]
    assert found("data/*.js*") == ["a.json", "b.jsonl"]
    assert found("data") == ["a.json", "b.jsonl"]
    assert found(f"{work}/data/a.json") == ["a.json"]


def test_a_url_is_no_path_of_the_folder(tmp_path: Path) -> None:
    assert absolute("memory://rows.jsonl", tmp_path) == "memory://rows.jsonl"
    assert absolute("rows.jsonl", tmp_path) == str(tmp_path / "rows.jsonl")


@pytest.mark.parametrize("place", ["absent.jsonl", "absent/*.jsonl", "*.csv"])
def test_files_that_are_not_there_are_named(tmp_path: Path, place: str) -> None:
    with pytest.raises(StageError, match=r"no file is at .*give a path"):
        find_files(place, tmp_path)


def test_a_folder_without_tables_says_what_is_expected(tmp_path: Path) -> None:
    (tmp_path / "notes.md").touch()
    with pytest.raises(StageError, match=r"no file that ends in \.json"):
        find_files(".", tmp_path)


@pytest.mark.parametrize("name", ["rows.csv", "rows.csv.gz"])
def test_csv_has_the_names_of_its_first_line(tmp_path: Path, name: str) -> None:
    content = '\ufeffid,text\r\n1,"zwölf\r\n\u2028 ""x"""\r\n\r\n2\r\n3,y\r\n'.encode()
    file = tmp_path / name
    file.write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    rows = dict(read_file(file))
    assert rows[1] == {"id": "1", "text": 'zwölf\r\n\u2028 "x"'}
    assert isinstance(rows[3], Unusable)
    assert rows[4] == {"id": "3", "text": "y"}


def test_a_quotation_mark_that_is_never_closed_is_told(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text('id,text\n1,"x\n')
    with pytest.raises(StageError, match="cannot be read as CSV"):
        list(read_file(file))
