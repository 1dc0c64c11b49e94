"""The tables of each kind of task, from a scorer whose scores are known."""

from collections.abc import Sequence

import pytest

from tests.trainer.evaluation.made import RESAMPLING, FakeScorer, question
from trainer.evaluation.load import LoadedTask
from trainer.evaluation.measure import measure
from trainer.evaluation.question import Question
from trainer.evaluation.reporting.report import TaskReport
from trainer.evaluation.tasks import CandidatesTask, ChoiceTask, PairsTask, Task
from trainer.pipeline.stage import StageError

# Scores an answer by the number that it ends in; an answer without one cannot be scored.
SCORER = FakeScorer(lambda text: float(text[-1]) if text[-1].isdigit() else None)


def measured(task: Task, questions: Sequence[Question], temperature: float = 1.0) -> TaskReport:
    return measure(LoadedTask(task, list(questions)), SCORER, RESAMPLING, temperature)


def titles(report: TaskReport) -> list[str]:
    return [table.title for table in report.tables]


def test_pairs_have_accuracy_length_bias_and_calibration() -> None:
    first = question((True, False), group="a", texts=("right 2", "1"), kinds=("chosen", "mutant"))
    second = question((True, False), group="b", texts=("0", "no 1"), kinds=("chosen", "mutant"))
    report = measured(PairsTask(), [first, second], temperature=2.0)
    assert titles(report) == [
        "pairwise accuracy by kind of wrong answer",
        "accuracy by length",
        "correlation with length",
        "AUC",
        "variance of scores",
        "calibration error",
        "reliability",
    ]
    assert report.tables[0].rows["overall"]["model"].value == 0.5
    assert "sigmoid(|margin| / 2)" in report.table("calibration error").what
    assert (report.questions, report.groups) == (2, ["a", "b"])


def test_pairs_of_several_data_sets_are_also_told_apart() -> None:
    sets = [question((True, False), texts=("2", "1"), source=name) for name in ("one", "two")]
    table = measured(PairsTask(), sets).table("pairwise accuracy by source")
    assert list(table.rows) == ["one", "two"]


def test_equal_lengths_leave_no_accuracy_by_length() -> None:
    report = measured(PairsTask(), [question((True, False), texts=("2", "1"))])
    assert "accuracy by length" not in titles(report)


@pytest.mark.parametrize(("answers", "voted"), [("none", False), ("text", True), ("math", True)])
def test_candidates_vote_only_where_answers_are_compared(answers: str, voted: bool) -> None:
    task = CandidatesTask(("sets",), answers=answers)  # type: ignore[arg-type]
    sets = [question((True, True, False, False), texts=("A: 7", "A: 7", "A: 3", "A: 4"))]
    report = measured(task, sets)
    assert list(report.table("best of N").rows) == ["1", "2", "4"]
    best_of_four = report.table("best of N").rows["4"]
    assert best_of_four["model"].value == 1.0
    assert ("majority" in best_of_four) == voted
    if voted:
        assert best_of_four["majority"].value == 1.0


def test_candidates_that_are_all_right_have_a_curve_and_no_pairs() -> None:
    report = measured(CandidatesTask(("sets",)), [question((True, True), texts=("1", "2"))])
    assert titles(report) == ["best of N", "hits at K", "variance of scores"]


def test_answers_that_cannot_be_scored_are_counted_and_may_be_all() -> None:
    whole = question((True, False), texts=("2", "1"))
    broken = question((True, False), texts=("none", "1"))
    report = measured(ChoiceTask(()), [whole, broken])
    assert report.left_out == {"too long": 1, "question left with too few answers": 1}
    with pytest.raises(StageError, match=r"no question could be scored: .*'too long': 1"):
        measured(ChoiceTask(()), [broken])
