import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.pipeline.stage import StageError
from trainer.synthesis.ledger import Ledger
from trainer.synthesis.requests import Completion


def answer(number: int, text: str = "text") -> Completion:
    return Completion(f"id{number}", text, "stop", 1, 2)


def write(folder: Path, answers: list[Completion]) -> None:
    with Ledger(folder) as ledger:
        for each in answers:
            ledger.append(each)


def read(folder: Path) -> dict[str, Completion]:
    with Ledger(folder) as ledger:
        return dict(ledger.answers)


def test_every_run_adds_a_file_and_an_idle_one_does_not(tmp_path: Path) -> None:
    write(tmp_path, [answer(1)])
    write(tmp_path, [])
    write(tmp_path, [answer(2)])
    files = sorted(file.name for file in tmp_path.glob("*.jsonl"))
    assert files == ["answers-00000.jsonl", "answers-00001.jsonl"]
    assert read(tmp_path) == {"id1": answer(1), "id2": answer(2)}


@given(st.lists(st.text(), min_size=1, max_size=5), st.data())
def test_a_file_that_ends_anywhere_keeps_its_whole_lines(
    texts: list[str], data: st.DataObject
) -> None:
    answers = [answer(number, text) for number, text in enumerate(texts)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder, answers)
        file = folder / "answers-00000.jsonl"
        content = file.read_bytes()
        end = data.draw(st.integers(0, len(content)))
        file.write_bytes(content[:end])
        whole = content[:end].count(b"\n")
        assert list(read(folder).values()) == answers[:whole]
        write(folder, answers)
        assert sorted(read(folder).values(), key=lambda each: each.id) == answers
        lines = b"".join(each.read_bytes() for each in sorted(folder.glob("*.jsonl")))
        assert lines.count(b"\n") == len(answers), "none is written twice"


def test_the_first_of_two_answers_counts(tmp_path: Path) -> None:
    write(tmp_path, [answer(1, "first"), answer(1, "second")])
    line = (tmp_path / "answers-00000.jsonl").read_text().replace("first", "third")
    (tmp_path / "answers-00001.jsonl").write_text(line)
    assert read(tmp_path) == {"id1": answer(1, "first")}


def test_a_damaged_line_is_named_and_not_passed_over(tmp_path: Path) -> None:
    write(tmp_path, [answer(1), answer(2)])
    file = tmp_path / "answers-00000.jsonl"
    file.write_bytes(file.read_bytes().replace(b'{"id": "id1"', b"\0\0\0\0", 1))
    with pytest.raises(StageError, match="line 1 is no answer"):
        Ledger(tmp_path)


def test_two_runs_at_once_are_refused(tmp_path: Path) -> None:
    with Ledger(tmp_path), pytest.raises(StageError, match="another run"):
        Ledger(tmp_path)
    assert read(tmp_path) == {}
