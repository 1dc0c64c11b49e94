"""Files of both formats: read with line numbers, and written back as they were."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codepmp_client.bulk import json_lines
from codepmp_client.bulk.tables import (
    BadRow,
    Record,
    Row,
    TableError,
    read_chunks,
    writing,
)


def read_rows(path: str) -> Iterator[Row | BadRow]:
    for chunk in read_chunks(path):
        yield from chunk.rows


def copy(source: Path, target: Path, added: Record, **options: object) -> None:
    dropped = options.get("dropped", ())
    assert isinstance(dropped, tuple)
    with writing(str(target), {"score": "number"}) as table:
        for chunk in read_chunks(str(source)):
            table.write(
                chunk, [added if isinstance(row, Row) else None for row in chunk.rows], dropped
            )


def test_lines_are_numbered_and_each_fault_is_told_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    lines = [b'\xef\xbb\xbf{"a": 1}\r', b"", b"{", b"[1]", b'{"a": "\xff"}', b"[" * 100_000]
    file.write_bytes(b"\n".join([*lines, b'{"a": 2}', b"", b"  "]))
    rows = list(read_rows(str(file)))
    assert [row.number for row in rows] == [1, 3, 4, 5, 6, 7]
    assert [row.record for row in rows if isinstance(row, Row)] == [{"a": 1}, {"a": 2}]
    assert [row.reason for row in rows if isinstance(row, BadRow)] == [
        "not JSON (Expecting property name enclosed in double quotes, column 2)",
        "not an object",
        "not UTF-8 at byte 8",
        "nested too deep",
    ]


def test_a_file_over_several_lines_gets_a_hint(tmp_path: Path) -> None:
    file = tmp_path / "rows.json"
    file.write_text('{\n  "a": 1\n}\n')
    first = next(read_rows(str(file)))
    assert isinstance(first, BadRow)
    assert "jq -c ." in first.reason


@pytest.mark.parametrize("content", [b"", b"\n", b"\xef\xbb\xbf"])
def test_an_empty_file_has_no_rows(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "rows.jsonl").write_bytes(content)
    assert list(read_rows(str(tmp_path / "rows.jsonl"))) == []


def test_copied_lines_keep_every_byte_of_their_columns(tmp_path: Path) -> None:
    odd = [
        '{"big": 123456789012345678901234567890, "x": 1e400, "nan": NaN}',
        '{"a":1,"a":2,"text":"\\u00e4\\ud83d \\/ é"}',
        "{}",
        f'{{"digits": {"9" * 5000}}}',
        '{"a": 1 }',
    ]
    (tmp_path / "in.jsonl").write_text("\r\n".join(odd), newline="")
    copy(tmp_path / "in.jsonl", tmp_path / "out.jsonl", {"score": 0.5})
    copied = (tmp_path / "out.jsonl").read_text().splitlines()
    for before, after in zip(odd, copied, strict=True):
        head = before.removesuffix("}").rstrip()
        assert after == head + (", " if head != "{" else "") + '"score": 0.5}'


def test_a_dropped_column_leaves_the_others_as_they_stood(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"x": 1e400 , "score": [1, {"score": 2}], "a":1,"a": 2}')
    copy(tmp_path / "in.jsonl", tmp_path / "out.jsonl", {"score": 1.0}, dropped=("score",))
    assert (tmp_path / "out.jsonl").read_text() == '{"x": 1e400, "a":1, "a": 2, "score": 1.0}\n'


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(row=st.dictionaries(st.text(max_size=3), _JSON), compact=st.booleans(), ascii_=st.booleans())
def test_whatever_json_a_line_holds_it_is_read_and_taken_apart(
    row: Record, compact: bool, ascii_: bool
) -> None:
    text = json.dumps(row, separators=(",", ":") if compact else None, ensure_ascii=ascii_)
    line = text.encode("utf-8", "replace")
    parsed = json_lines.parse_line(1, line)
    assert isinstance(parsed, Row)
    assert repr(parsed.record) == repr(json.loads(line))
    for name in parsed.record:
        rest = {key: value for key, value in parsed.record.items() if key != name}
        assert repr(json.loads(json_lines.without_members(line, [name]))) == repr(rest)


def test_gzip_is_read_by_its_content_and_written_by_the_name(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_bytes(gzip.compress(b'{"a": 1}\n') + gzip.compress(b'{"a": 2}'))
    copy(tmp_path / "in.jsonl", tmp_path / "out.jsonl.gz", {"score": 0.5})
    text = gzip.decompress((tmp_path / "out.jsonl.gz").read_bytes()).decode()
    assert text == '{"a": 1, "score": 0.5}\n{"a": 2, "score": 0.5}\n'


def test_a_gzip_file_that_breaks_off_is_told_with_the_last_whole_line(tmp_path: Path) -> None:
    lines = b"".join(b'{"a": %d}\n' % number for number in range(100_000))
    (tmp_path / "in.jsonl.gz").write_bytes(gzip.compress(lines)[:-1000])
    with pytest.raises(TableError, match=r"breaks off after line \d+"):
        list(read_rows(str(tmp_path / "in.jsonl.gz")))


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.jsonl", b"PAR1....", "is Parquet"),
        ("a.jsonl", b'\xff\xfe{\x00"', "UTF-16"),
        ("a.json", b'\n[{"a": 1}]', "jq -c"),
        ("a.csv", b"a,b\n1,2\n", "convert it"),
        ("a.parquet", b"{}", "cannot be read as Parquet"),
        ("missing.jsonl", None, "No such file"),
        ("missing.parquet", None, "No such file"),
    ],
)
def test_another_format_is_refused_in_a_sentence(
    tmp_path: Path, name: str, content: bytes | None, says: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(TableError, match=says):
        list(read_rows(str(tmp_path / name)))


def test_parquet_keeps_the_types_of_its_columns(tmp_path: Path) -> None:
    table = pyarrow.table(
        {
            "id": pyarrow.array([2**63, 1], pyarrow.uint64()),
            "day": pyarrow.array([1, None], pyarrow.date32()),
            "tag": pyarrow.array(["a", "b"]).dictionary_encode(),
            "raw": pyarrow.array([b"\xff", b""], pyarrow.large_binary()),
            "score": ["old", "older"],
        }
    ).replace_schema_metadata({"origin": "a test"})
    pyarrow.parquet.write_table(table, tmp_path / "in.parquet")
    copy(tmp_path / "in.parquet", tmp_path / "out.parquet", {"score": None}, dropped=("score",))
    copied = pyarrow.parquet.read_table(tmp_path / "out.parquet")
    assert copied.schema.metadata[b"origin"] == b"a test"
    assert copied.schema.field("score").type == pyarrow.float64()
    assert copied.drop_columns("score").equals(table.drop_columns("score"))


def test_rows_cross_over_to_the_other_format(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"a": [1], "b": "x"}\n{"a": [], "b": null}\n')
    copy(tmp_path / "in.jsonl", tmp_path / "out.parquet", {"score": None})
    assert pyarrow.parquet.read_schema(tmp_path / "out.parquet").names == ["a", "b", "score"]
    copy(tmp_path / "out.parquet", tmp_path / "back.jsonl", {"score": 1.0}, dropped=("score",))
    rows = [json.loads(line) for line in (tmp_path / "back.jsonl").read_text().splitlines()]
    assert rows == [{"a": [1], "b": "x", "score": 1.0}, {"a": [], "b": None, "score": 1.0}]


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([{"a": 1}, {"a": "text"}], "write JSON Lines"),
        ([{"a": 1}, {"a": 1, "b": 2}], "has the column b"),
        ([{"a": "half a pair: \ud800"}], "write JSON Lines"),
    ],
)
def test_rows_without_one_schema_are_not_written_as_parquet(
    tmp_path: Path, rows: list[Record], says: str
) -> None:
    with pytest.raises(TableError, match=says):
        write_one_by_one(tmp_path / "out.parquet", rows)


def test_a_moment_beyond_what_python_knows_is_told_in_a_sentence(tmp_path: Path) -> None:
    moments = pyarrow.array([2**62], pyarrow.timestamp("us"))
    pyarrow.parquet.write_table(pyarrow.table({"at": moments}), tmp_path / "in.parquet")
    with pytest.raises(TableError, match="at row 1"):
        list(read_rows(str(tmp_path / "in.parquet")))


def write_one_by_one(file: Path, rows: list[Record]) -> None:
    with writing(str(file)) as table:
        for row in rows:
            table.write_records([row])


def test_a_file_takes_its_place_only_when_it_is_whole(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    out.write_text("old")
    with pytest.raises(TableError, match="no form for"):
        write_one_by_one(out, [{"a": 1}, {"a": object()}])
    assert out.read_text() == "old"
    assert list(tmp_path.iterdir()) == [out]
    with pytest.raises(TableError, match="exists already"), writing(str(out), replace=False):
        pass
    write_one_by_one(out, [{"a": 1}])
    assert out.read_text() == '{"a": 1}\n'


def test_a_place_where_no_file_can_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    places = [("no/out.jsonl", "no folder"), (".", "not a file")]
    places += [("circle", "leads back to itself"), ("x" * 300, "name too long")]
    for place, says in places:
        with pytest.raises(TableError, match=f"(?i){says}"), writing(str(tmp_path / place)):
            pass


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "out.jsonl.partial").symlink_to("/dev/full")
    with pytest.raises(TableError, match="No space left on device"):
        write_one_by_one(tmp_path / "out.jsonl", [{"a": "x" * 100_000}])
