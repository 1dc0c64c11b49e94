import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.pipeline.stage import StageError
from trainer.synthesis.ledger import Ledger
from trainer.synthesis.requests import Completion

FILE = "completions.sqlite"
WRITER = """
import sys
from pathlib import Path
from trainer.synthesis.ledger import Ledger
from trainer.synthesis.requests import Completion

with Ledger(Path(sys.argv[1])) as ledger:
    print("open", flush=True)
    sys.stdin.readline()
    for number in range(100):
        ledger.append(Completion(f"id{number}", sys.argv[2], "stop", 1, 2))
"""


def completion(number: int, text: str = "text") -> Completion:
    return Completion(f"id{number}", text, "stop", 1, 2)


def write(folder: Path, completions: list[Completion]) -> None:
    with Ledger(folder) as ledger:
        for each in completions:
            ledger.append(each)


def read(folder: Path) -> dict[str, Completion]:
    with Ledger(folder) as ledger:
        return ledger.completions()


def test_completions_of_several_runs_are_read_in_the_order_of_arrival(tmp_path: Path) -> None:
    write(tmp_path, [completion(2)])
    write(tmp_path, [])
    write(tmp_path, [completion(1)])
    assert list(read(tmp_path).values()) == [completion(2), completion(1)]


def test_the_first_completion_of_a_request_counts(tmp_path: Path) -> None:
    write(tmp_path, [completion(1, "first"), completion(1, "second")])
    write(tmp_path, [completion(1, "third")])
    assert read(tmp_path) == {"id1": completion(1, "first")}


@given(st.lists(st.text(), min_size=1, max_size=5))
def test_a_killed_process_loses_nothing_that_it_had_appended(texts: list[str]) -> None:
    """What a kill leaves behind are the files as they are while the ledger is still open."""
    completions = [completion(number, text) for number, text in enumerate(texts)]
    with tempfile.TemporaryDirectory() as name:
        with Ledger(Path(name, "open")) as ledger:
            for each in completions:
                ledger.append(each)
            shutil.copytree(Path(name, "open"), Path(name, "killed"))
        assert list(read(Path(name, "killed")).values()) == completions


@given(st.lists(st.text(), min_size=1, max_size=5), st.data())
def test_a_log_that_ends_anywhere_keeps_its_whole_commits(
    texts: list[str], data: st.DataObject
) -> None:
    """A crash of the machine may cut the log where it likes; the rest can be appended again."""
    completions = [completion(number, text) for number, text in enumerate(texts)]
    with tempfile.TemporaryDirectory() as name:
        crashed = Path(name, "crashed")
        with Ledger(Path(name, "open")) as ledger:
            for each in completions:
                ledger.append(each)
            shutil.copytree(Path(name, "open"), crashed)
        log = crashed / f"{FILE}-wal"
        content = log.read_bytes()
        log.write_bytes(content[: data.draw(st.integers(0, len(content)))])
        kept = list(read(crashed).values())
        assert kept == completions[: len(kept)]
        write(crashed, completions)
        assert list(read(crashed).values()) == completions


def test_several_processes_write_at_once_and_nothing_is_lost_or_doubled(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    writers = [
        subprocess.Popen([*command, text], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for text in ("one", "two")
    ]
    for writer in writers:
        assert writer.stdout
        writer.stdout.readline()  # both have the file open before either of them writes
    for writer in writers:
        writer.communicate(b"\n")
        assert writer.returncode == 0
    kept = read(tmp_path)
    assert sorted(kept) == sorted(f"id{number}" for number in range(100))
    assert {each.text for each in kept.values()} <= {"one", "two"}


def test_a_damaged_file_is_named_and_not_passed_over(tmp_path: Path) -> None:
    write(tmp_path, [completion(number, "text" * 1000) for number in range(20)])
    file = tmp_path / FILE
    content = file.read_bytes()
    file.write_bytes(content[:8192] + bytes(8192) + content[16384:])
    with pytest.raises(StageError, match=r"completions\.sqlite is damaged"):
        Ledger(tmp_path)
    file.write_text("this is no database")
    with pytest.raises(StageError, match=r"is damaged .*delete"):
        Ledger(tmp_path)
