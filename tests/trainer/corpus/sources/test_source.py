from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.corpus.sources.source import THE_STACK, Columns
from trainer.pipeline.stage import StageError

CELLS = st.one_of(st.none(), st.integers(), st.text(max_size=5), st.lists(st.text(max_size=3)))


def test_a_row_of_the_stack_is_understood() -> None:
    row = {
        "content": "x = 1",
        "max_stars_repo_path": "a/b.py",
        "max_stars_repo_name": "owner/name",
        "max_stars_repo_licenses": ["MIT", "Apache-2.0"],
        "lang": "Python",
    }
    file = THE_STACK.file(row, "", Counter())
    assert file is not None
    assert (file.repository, file.path, file.language) == ("owner/name", "a/b.py", "Python")
    assert file.license == "MIT AND Apache-2.0"


def test_without_a_repository_column_each_file_is_held_out_alone() -> None:
    columns = Columns(repository=None)
    named = columns.file({"content": "x", "path": "a.py"}, "", Counter())
    bare = [columns.file({"content": text}, "", Counter()) for text in "xy"]
    assert named is not None
    assert named.repository == "a.py"
    assert len({file.repository for file in bare if file}) == 2


def test_the_sources_license_is_that_of_rows_that_state_none() -> None:
    row = {"content": "x", "repository": "r"}
    silent = Columns().file(row, "ISC", Counter())
    stated = Columns().file(row | {"license": "MIT"}, "ISC", Counter())
    assert [file.license for file in (silent, stated) if file] == ["ISC", "MIT"]


@given(st.dictionaries(st.sampled_from(sorted(Columns().names)), CELLS))
def test_every_row_is_a_file_or_in_one_count(row: dict[str, object]) -> None:
    counts: Counter[str] = Counter()
    file = Columns().file(row, "", counts)
    assert counts.total() == (file is None)


def test_text_that_no_file_can_hold_is_no_text() -> None:
    counts: Counter[str] = Counter()
    assert Columns().file({"content": "\ud800", "repository": "r"}, "", counts) is None
    assert counts == {"no text": 1}


def test_a_misspelt_column_is_told_with_those_that_are_there() -> None:
    with pytest.raises(StageError, match=r"no column content.*has body, repository"):
        Columns().check(["repository", "body"], "rows.jsonl")
