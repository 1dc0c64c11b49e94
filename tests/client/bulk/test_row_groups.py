"""Groups on disk: whole, in order, and gone afterwards."""

import random
import resource
from pathlib import Path

import pytest

from codepmp_client.bulk.row_groups import gathering
from codepmp_client.bulk.tables import TableError


def test_groups_keep_the_order_of_first_rows_and_of_rows(tmp_path: Path) -> None:
    keys = [random.Random(1).randrange(40) for _ in range(500)]
    with gathering(tmp_path) as groups:
        for number, key in enumerate(keys):
            groups.add(b"%d" % key, number, {"key": key})
        # Its name is gone already, so that nothing is left however the process ends.
        assert list(tmp_path.iterdir()) == []
        found = list(groups)
    assert [group[0].record["key"] for group in found] == list(dict.fromkeys(keys))
    for group in found:
        key = group[0].record["key"]
        assert [row.number for row in group] == [n for n, other in enumerate(keys) if other == key]


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
            groups.add(b"%d" % number, number, {"text": "x" * 1_000_000})
