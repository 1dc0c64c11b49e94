import subprocess
import sys
from pathlib import Path

import pytest

from trainer.pipeline.ledger_file import LedgerFile
from trainer.pipeline.stage import StageError

COLUMNS = ("key TEXT PRIMARY KEY", "text TEXT")
WRITER = """
import resource
import sys
from pathlib import Path
from trainer.pipeline.ledger_file import LedgerFile
from trainer.pipeline.stage import StageError

resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
rows = LedgerFile(Path(sys.argv[1]), "rows", ("key TEXT PRIMARY KEY", "text TEXT"), "run all again")
try:
    for number in range(1000):
        rows.append((str(number), "x" * 1000))
        print(number, flush=True)
except StageError as error:
    print(error, flush=True)
"""


def open_file(file: Path, *further: str) -> LedgerFile:
    return LedgerFile(file, "rows", (*COLUMNS, *further), "run all again")


def rows_of(file: LedgerFile) -> list[tuple[object, ...]]:
    return list(file.select("SELECT * FROM rows ORDER BY rowid"))


def test_the_first_row_of_a_key_counts(tmp_path: Path) -> None:
    file = open_file(tmp_path / "new" / "rows.sqlite")
    for text in ("first", "second"):
        file.append(("key", text))
    assert rows_of(file) == [("key", "first")]


def test_a_column_that_an_older_file_lacks_has_its_default(tmp_path: Path) -> None:
    old = open_file(tmp_path / "rows.sqlite")
    old.append(("old", "text"))
    old.close()
    file = open_file(tmp_path / "rows.sqlite", "number INT DEFAULT 7")
    file.append(("new", "text", 8))
    assert rows_of(file) == [("old", "text", 7), ("new", "text", 8)]


def test_a_file_that_cannot_grow_says_so_and_keeps_what_it_holds(tmp_path: Path) -> None:
    """A limit on the size of files stands for a disk that is full."""
    command = [sys.executable, "-c", WRITER, str(tmp_path / "rows.sqlite")]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    *kept, message = output.splitlines()
    assert "cannot be written" in message
    assert "disk is full" in message
    assert 5 < len(kept) < 1000
    assert [row[0] for row in rows_of(open_file(tmp_path / "rows.sqlite"))] == kept


def test_a_folder_that_may_not_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "rows.sqlite").mkdir()
    with pytest.raises(StageError, match=r"rows\.sqlite cannot be written"):
        open_file(tmp_path / "rows.sqlite")
