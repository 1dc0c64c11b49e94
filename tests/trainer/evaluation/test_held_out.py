"""What a checkpoint was trained on evaluates nothing, however many stages lie between."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from trainer.evaluation.held_out import require_held_out
from trainer.evaluation.question import Question
from trainer.pairs.row import PreferenceRow, Rejected, write_pairs
from trainer.pipeline.lineage import is_stage, training_pairs
from trainer.pipeline.stage import StageError, writing_stage


@dataclass(frozen=True)
class Nothing:
    """A config."""


def stage(
    folder: Path, name: str, reads: list[str], rows: list[PreferenceRow] | None = None
) -> None:
    with writing_stage(Nothing(), folder / name, reads=[folder / r for r in reads]) as draft:
        if rows is not None:
            write_pairs(draft.path, "train", rows, 10)


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """finetune <- (preferences, pretrain <- pairs)."""
    trained = PreferenceRow("1", "numpy", "Add two numbers.", "x", (Rejected("mutant", "y"),))
    problem = PreferenceRow(
        "2", "hash", "How many eggs?", "3", (Rejected("wrong", "4"),), source="gsm"
    )
    stage(tmp_path, "pairs", [], [trained])
    stage(tmp_path, "preferences", [], [problem])
    stage(tmp_path, "pretrain", ["pairs"])
    stage(tmp_path, "finetune", ["preferences", "pretrain"])
    return tmp_path


def question(group: str, prompt: str = "new", source: str = "") -> Question:
    return Question("id", group, prompt, ("a", "b"), (True, False), source=source)


def test_all_pairs_on_the_way_are_found(work: Path) -> None:
    assert set(training_pairs(work, "finetune")) == {"pairs", "preferences"}
    assert training_pairs(work, "pretrain") == ["pairs"]


def test_what_is_new_may_evaluate(work: Path) -> None:
    require_held_out([question("scipy")], work, "finetune", by_request=True)


def test_a_group_is_refused_under_any_source(work: Path) -> None:
    for source in ("", "another"):
        with pytest.raises(StageError, match="finetune was trained on numpy"):
            require_held_out([question("numpy", source=source)], work, "finetune", by_request=False)


def test_a_problem_is_refused_however_it_is_spaced(work: Path) -> None:
    seen = question("new", "how  many eggs")
    with pytest.raises(StageError, match=r"id \(preferences\)"):
        require_held_out([seen], work, "finetune", by_request=True)
    require_held_out([seen], work, "finetune", by_request=False)
    require_held_out([seen], work, "pretrain", by_request=True)


def test_a_stage_whose_source_has_changed_stands_for_nothing(work: Path) -> None:
    stage(work, "pairs", [], [])
    with pytest.raises(StageError, match="pairs has changed since pretrain read it"):
        require_held_out([question("scipy")], work, "finetune", by_request=False)


def test_a_stage_of_another_run_is_none_of_this(
    work: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = tmp_path_factory.mktemp("other")
    assert is_stage(work, "pretrain")
    assert not is_stage(other, str(work / "pretrain"))
    assert not is_stage(other, "pretrain")


def test_no_more_names_than_a_line_holds(tmp_path: Path) -> None:
    rows = [PreferenceRow(f"{n}", f"g{n}", "p", "x", (Rejected("m", "y"),)) for n in range(7)]
    stage(tmp_path, "pairs", [], rows)
    stage(tmp_path, "pretrain", ["pairs"])
    asked = [question(f"g{n}") for n in range(7)]
    with pytest.raises(StageError, match=r"on g0, g1, g2, g3, g4 and 2 more \(pairs\)"):
        require_held_out(asked, tmp_path, "pretrain", by_request=False)
