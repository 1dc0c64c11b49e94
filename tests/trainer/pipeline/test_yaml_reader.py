"""YAML that is no recipe is answered with a line and a sentence, and constructs no object."""

from pathlib import Path

import pytest

from trainer.pipeline.field_values import PlainScalar
from trainer.pipeline.stage import StageError
from trainer.pipeline.yaml_reader import read_yaml


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty: begin with `extends: NAME`"),
        ("# only this\n", "is empty: begin with"),
        ("a:\n\tb: 1\n", "line 2: a tab cannot indent in YAML: use spaces"),
        ("a: 1\nb: 2\na: 3\n", "line 3: a is here a second time: keep one of them"),
        ("a: {b: 1,\n  b: 2}\n", "line 2: b is here a second time"),
        ("a: &x\n  b: *x\n", "line 1: an alias stands inside of what it names"),
        ("a: &x [*x]\n", "line 1: an alias stands inside of what it names"),
        ("a: &x {b: 1}\nc:\n  <<: *x\n", "line 3: << is not followed"),
        ("a: !!python/object/apply:os.system [ls]\n", "line 1: the tag .* is not followed"),
        ("a: !!int 3\n", "line 1: the tag .*int is not followed"),
        ("a: 1\n---\nb: 2\n", "line 2: a second document begins here"),
        ("a: [1, 2\nb: 3\n", "line 2: "),
        ("a:\n  b: 1\n c: 2\n", "line 3: this line is indented unlike those above it"),
        ("a: b: 1\n", "line 1: a second `: ` in one line"),
        ("a: *unknown\n", "line 1: found undefined alias 'unknown'"),
        ("? [1]\n: 2\n", "line 1: a key is a name"),
        ("a: 1\nb: \x07\n", "line 2: the character .* is not allowed in YAML"),
        ("a: '" + "\n", "found unexpected end of stream"),
        ("[" * 3000, "nested too deeply"),
    ],
)
def test_text_that_is_no_recipe_is_told_its_line(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(StageError, match=message) as error:
        read_yaml(file)
    assert str(error.value).startswith(str(file))


def test_many_aliases_do_not_fill_the_memory(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 20)]
    file.write_text("\n".join(lines))
    with pytest.raises(StageError, match="over 100000 values"):
        read_yaml(file)


def test_an_alias_repeats_a_value(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("a: &x {b: 1}\nc: *x\n")
    assert read_yaml(file).data == {"a": {"b": PlainScalar("1")}, "c": {"b": PlainScalar("1")}}


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(StageError, match=r"none\.yaml cannot be read: No such file"):
        read_yaml(tmp_path / "none.yaml")
    file = tmp_path / "mine.yaml"
    file.write_bytes(b"a: \xff\n")
    with pytest.raises(StageError, match="is not text in UTF-8"):
        read_yaml(file)
    file.write_bytes(b"\xef\xbb\xbfa: b\r\n")  # as an editor on Windows may write it
    assert read_yaml(file).data == {"a": PlainScalar("b")}
