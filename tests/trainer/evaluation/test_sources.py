import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from trainer.evaluation.sources import read_candidates, read_choices
from trainer.pipeline.stage import StageError

DATA = Path(__file__).resolve().parents[3].parent / "shared" / "data"


def choices(folder: Path, **changes: object) -> Path:
    file = folder / "logic_dev.json"
    row = {
        "id": "1",
        "context": "All cats sleep.",
        "question": "What follows?",
        "options": ["A) Tom sleeps.", "B) Nothing."],
        "answer": "B",
    }
    file.write_text(json.dumps([row | changes]))
    return file


def test_options_lose_their_letters_and_the_key_its_name(tmp_path: Path) -> None:
    (question,) = read_choices(choices(tmp_path))
    assert question.prompt == "All cats sleep.\n\nWhat follows?"
    assert question.answers == ("Tom sleeps.", "Nothing.")
    assert question.correct == (False, True)
    assert question.source == f"{tmp_path.name}/logic_dev"


def test_other_names_of_the_same_columns_are_known(tmp_path: Path) -> None:
    reclor = {"id_string": "x", "context": "c", "question": "q", "answers": ["s", "t"], "label": 0}
    logiqa = {"id": 7, "text": "c", "question": "q", "options": ["s", "t"], "answer": 0}
    (tmp_path / "all.jsonl").write_text("\n".join(map(json.dumps, [reclor, logiqa])))
    first, second = read_choices(tmp_path / "all.jsonl")
    assert first.correct == second.correct == (True, False)
    assert first.group == second.group  # one passage


def test_a_key_that_is_no_option_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StageError, match="row 1: the answer key is none of the options"):
        read_choices(choices(tmp_path, answer="E"))


def sets(folder: Path, *candidates: Mapping[str, object]) -> Path:
    file = folder / "sets.jsonl"
    texts = [{"text": f"answer {n}", **each} for n, each in enumerate(candidates)]
    file.write_text(json.dumps({"id": "1", "prompt": "p", "candidates": texts}))
    return file


def test_pass_counts_are_rates_and_labels(tmp_path: Path) -> None:
    given = ({"passed": 3, "total": 4}, {"passed": 4, "total": 4}, {"pass_rate": 0.0})
    (question,) = read_candidates(sets(tmp_path, *given))
    assert question.pass_rates == (0.75, 1.0, 0.0)
    assert question.correct == (False, True, False)
    assert question.only((0, 2)).pass_rates == (0.75, 0.0)


def test_a_label_may_be_stricter_than_the_rate(tmp_path: Path) -> None:
    (question,) = read_candidates(sets(tmp_path, {"pass_rate": 1.0, "correct": False}))
    assert (question.pass_rates, question.correct) == ((1.0,), (False,))


def test_rates_of_some_candidates_alone_are_none(tmp_path: Path) -> None:
    some = ({"pass_rate": 0.5, "correct": False}, {"correct": True})
    (question,) = read_candidates(sets(tmp_path, *some))
    assert question.pass_rates == ()
    assert question.correct == (False, True)


@pytest.mark.parametrize(
    "wrong",
    [
        {"pass_rate": 1.5},
        {"pass_rate": None},
        {"passed": 5, "total": 4},
        {"total": 4},
        {"passed": 0, "total": 0},
        {"passed": True, "total": 1},
    ],
)
def test_what_is_no_share_of_tests_is_refused(tmp_path: Path, wrong: dict[str, object]) -> None:
    with pytest.raises(StageError, match="row 1: a candidate has no pass_rate of 0 to 1"):
        read_candidates(sets(tmp_path, wrong))


def test_candidates_keep_who_wrote_them(tmp_path: Path) -> None:
    row = {
        "id": "g-0",
        "task": "math",
        "prompt": "How many?",
        "reference": "3",
        "candidates": [{"model": "m/cot", "text": "3", "correct": True}],
    }
    (tmp_path / "set.jsonl").write_text(json.dumps(row))
    (question,) = read_candidates(tmp_path / "set.jsonl")
    assert (question.answers, question.correct, question.kinds) == (("3",), (True,), ("m/cot",))


@pytest.mark.skipif(not DATA.is_dir(), reason="needs the shared data sets")
def test_the_real_files_are_read() -> None:
    assert len(read_candidates(DATA / "candidates" / "gsm8k_test_first660.jsonl.gz")) == 660
    assert len(read_choices(DATA / "logiqa2" / "dev.txt.gz")) > 1500
    questions = read_choices(DATA / "logic_llm" / "AR-LSAT_dev.json.gz")
    assert all(sum(question.correct) == 1 for question in questions)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ('{"id": "2", "prompt": "p", "candidates": "none"}', "candidates is not a list"),
        ('{"prompt": "p", "candidates": []}', "no column id or id_string; it has: candidates"),
        ("[1]", "not an object"),
    ],
)
def test_a_row_that_cannot_be_used_is_refused_with_its_number(
    tmp_path: Path, row: str, message: str
) -> None:
    file = tmp_path / "set.jsonl"
    file.write_text('{"id": "1", "prompt": "p", "candidates": []}\n' + row)
    with pytest.raises(StageError, match=f"row 2: {message}"):
        read_candidates(file)
