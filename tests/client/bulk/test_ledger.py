"""Scores by content, in a file that one process holds."""

import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codepmp_client.bulk.columns import RowInput, RowScores
from codepmp_client.bulk.ledger import Ledger, row_key
from codepmp_client.bulk.tables import TableError
from codepmp_client.inputs import BULK, Options
from codepmp_client.results import ItemError, Score

OK = Score(0.1, 1.5, 0)
TOO_LONG = Score(None, None, 70, ItemError("too_long", "it is"))
BROKEN = Score(None, None, 0, ItemError("engine_error", "for once"))


def test_scores_are_found_again_with_their_run_and_model(tmp_path: Path) -> None:
    row = RowScores((OK, TOO_LONG), "m", "1")
    with Ledger(tmp_path / "ledger") as ledger:
        ledger.add(b"a", row)
        ledger.add(b"b", RowScores(()))
        ledger.add(b"c", RowScores((OK, BROKEN), "m", "1"))
    with Ledger(tmp_path / "ledger") as ledger:
        assert ledger.run == 2
        assert ledger.models == [("m", "1")]
        assert ledger.find([b"a", b"b", b"c"]) == {b"a": (1, row), b"b": (1, RowScores(()))}
        assert ledger.rows() == 2
        ledger.clear()
        assert (ledger.rows(), ledger.models) == (0, [])


def test_a_second_process_is_refused_and_a_dead_one_leaves_no_lock(tmp_path: Path) -> None:
    with Ledger(tmp_path / "ledger") as ledger:
        ledger.add(b"a", RowScores((OK,), "m", "1"))
        with pytest.raises(TableError, match="another run"):
            Ledger(tmp_path / "ledger")
    with Ledger(tmp_path / "ledger") as ledger:
        assert ledger.rows() == 1


def test_an_empty_ledger_leaves_no_file(tmp_path: Path) -> None:
    with Ledger(tmp_path / "ledger"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_file_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "ledger").write_bytes(b"no database" * 1000)
    with pytest.raises(TableError, match="is damaged"):
        Ledger(tmp_path / "ledger")


def test_a_full_disk_is_told_and_costs_nothing_that_was_kept(tmp_path: Path) -> None:
    file = tmp_path / "ledger"
    with Ledger(file) as ledger:
        ledger.add(b"a", RowScores((OK,), "m", "1"))
        ledger._db.execute("PRAGMA max_page_count = 1")
        long = RowScores((Score(None, None, 0, ItemError("too_long", "x" * 100_000)),), "m", "1")
        with pytest.raises(TableError, match="disk is full"):
            ledger.add(b"b", long)
    with Ledger(file) as ledger:
        assert set(ledger.find([b"a", b"b"])) == {b"a"}
    assert sqlite3.connect(file).execute("PRAGMA integrity_check").fetchone() == ("ok",)


@given(st.lists(st.text(), min_size=2, max_size=2, unique=True))
def test_keys_tell_contents_apart(texts: list[str]) -> None:
    one, two = texts
    rows = [
        *(RowInput(one, (two,)), RowInput(two, (one,)), RowInput(one, (one, two))),
        *(RowInput(one, (two,), ({"t": 1},)), RowInput([{"role": "user", "content": one}], (two,))),
    ]
    keys = {row_key(row, BULK) for row in rows}
    keys.add(row_key(rows[0], Options(over_length="truncate_prompt")))
    assert len(keys) == len(rows) + 1
    assert row_key(RowInput(one, (two,)), BULK) == row_key(rows[0], BULK)
