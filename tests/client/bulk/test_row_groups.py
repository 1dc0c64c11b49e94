"""Groups on disk: whole, in order, and gone afterwards."""

import random
import resource
from datetime import date
from pathlib import Path

import pytest

from codepmp_client.bulk.columns import RowInput
from codepmp_client.bulk.row_groups import gathering
from codepmp_client.bulk.scored_prompt import RatedRow
from codepmp_client.bulk.tables import Record, TableError


def row(number: int, prompt: str, kept: Record | None = None) -> RatedRow:
    turn = {"tool_calls": [{"function": {"name": "f"}}]}
    tools = ({"type": "function"},)
    prompts = [{"role": "user", "content": prompt}]
    return RatedRow(number, False, RowInput(prompts, (turn,), tools), [0.1], [None], kept or {})


def test_groups_keep_the_order_of_first_rows_and_of_rows(tmp_path: Path) -> None:
    keys = [str(random.Random(n).randrange(40)) for n in range(500)]
    added = [row(number, key, {"id": number}) for number, key in enumerate(keys)]
    with gathering(tmp_path) as groups:
        for each in added:
            groups.add(each)
        # Its name is gone already, so that nothing is left however the process ends.
        assert list(tmp_path.iterdir()) == []
        found = list(groups)
    assert found == [
        [each for each, key in zip(added, keys, strict=True) if key == wanted]
        for wanted in dict.fromkeys(keys)
    ]


def test_a_value_that_json_has_no_form_for_is_told_with_its_row(tmp_path: Path) -> None:
    kept: Record = {"day": date(2026, 1, 1)}
    with gathering(tmp_path) as groups, pytest.raises(TableError, match="row 7: a column"):
        groups.add(row(7, "p", kept))


def test_a_full_disk_is_told_in_a_sentence(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
    try:
        with pytest.raises(TableError, match="make room there"):
            fill(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


def fill(folder: Path) -> None:
    with gathering(folder) as groups:
        # More than what is kept in memory.
        for number in range(100):
            groups.add(row(number, "p", {"text": "x" * 1_000_000}))
