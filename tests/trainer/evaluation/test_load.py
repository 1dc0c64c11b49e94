"""A task's questions are read, sampled and counted before anything is scored."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from reward_model.release.release import sha256
from trainer.evaluation.load import load
from trainer.evaluation.tasks import CandidatesTask, ChoiceTask, PairsTask, ProcessBenchTask
from trainer.pairs.row import PreferenceRow, Rejected, write_pairs
from trainer.pipeline.stage import StageError, writing_stage


def write(file: Path, rows: Sequence[dict[str, object]]) -> Path:
    file.write_text("\n".join(map(json.dumps, rows)))
    return file


def choice(number: int) -> dict[str, object]:
    return {
        "id": str(number),
        "context": f"passage {number}",
        "question": "q",
        "options": ["s", "t"],
        "answer": 0,
    }


def test_the_same_seed_samples_the_same_questions_in_the_order_of_the_files(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", [choice(n) for n in range(50)])
    write(tmp_path / "b.jsonl", [choice(n) for n in range(50, 100)])
    task = ChoiceTask(("*.jsonl",), max_questions=10)
    first, again, other = (load(task, tmp_path, seed) for seed in (1, 1, 2))
    ids = [int(question.id) for question in first.questions]
    assert len(ids) == 10
    assert ids == sorted(ids)
    assert [question.id for question in again.questions] == list(map(str, ids))
    assert [question.id for question in other.questions] != list(map(str, ids))
    assert first.counts == {"not in the sample": 90}


def test_files_are_recorded_by_their_hash(tmp_path: Path) -> None:
    file = write(tmp_path / "a.jsonl", [choice(1)])
    loaded = load(ChoiceTask(("a.jsonl",), max_questions=10), tmp_path, 1)
    assert loaded.files == {"a.jsonl": sha256(file)}
    assert not loaded.counts


def test_families_compete_apart_only_where_that_is_asked_for(tmp_path: Path) -> None:
    several = [{"text": t, "correct": True, "model": m} for t, m in (("a", "x/1"), ("b", "y/1"))]
    write(tmp_path / "sets.jsonl", [{"id": "1", "prompt": "p", "candidates": several}])
    together = load(CandidatesTask(("sets.jsonl",)), tmp_path, 1)
    apart = load(CandidatesTask(("sets.jsonl",), within_family=True), tmp_path, 1)
    assert [len(question.answers) for question in together.questions] == [2]
    assert [len(question.answers) for question in apart.questions] == [1, 1]


def test_labels_of_process_bench_come_with_its_questions(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"id": "p1", "problem": "p", "steps": ["One."], "label": -1},
        {"id": "p2", "problem": "q", "steps": [" "], "label": 0},
    ]
    write(tmp_path / "gsm8k.jsonl", rows)
    loaded = load(ProcessBenchTask(("gsm8k.jsonl",)), tmp_path, 1)
    assert loaded.labels == {"p1": -1}
    assert loaded.counts == {"solution with an empty step": 1}


def test_pairs_are_those_of_one_split(tmp_path: Path) -> None:
    with writing_stage(PairsTask(), tmp_path / "pairs") as draft:
        row = PreferenceRow("1", "numpy", "Add.", "x", (Rejected("mutant", "y"),))
        write_pairs(draft.path, "evaluation", [row], 10)
    (question,) = load(PairsTask(), tmp_path, 1).questions
    assert question.answers == ("x", "y")
    with pytest.raises(StageError, match="raise train_share, or add groups"):
        load(PairsTask(split="train"), tmp_path, 1)


def test_files_without_rows_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").touch()
    with pytest.raises(StageError, match="multiple choice: its files hold no rows"):
        load(ChoiceTask(("empty.jsonl",)), tmp_path, 1)


@pytest.mark.parametrize("places", [{}, {"files": ("a.jsonl",), "stage": "votes"}])
def test_candidates_come_from_files_or_from_a_stage(places: dict[str, Any]) -> None:
    with pytest.raises(StageError, match="candidates: name its files or a stage, and not both"):
        CandidatesTask(**places)
