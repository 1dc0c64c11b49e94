"""What of a rolling update counts as lost."""

import pytest

from benchmarks.harness.page import Page
from benchmarks.rolling_update.page import Journal, Reply, judge, plot, tell


def _journal(*outcomes: str, exits: tuple[int, ...] = (0, 0)) -> Journal:
    journal = Journal(pause=10.0, exits=list(exits), steps=[(0.0, "starts"), (9.0, "is gone")])
    journal.replies = [Reply(float(n), 0.5, outcome) for n, outcome in enumerate(outcomes)]
    journal.ledger.compared = 1
    return journal


@pytest.mark.parametrize(
    ("journal", "unmet"),
    [
        (_journal("200", "200"), 0),
        (_journal("200", "503"), 1),
        (_journal("200", "ReadError", exits=(0, 1)), 2),
    ],
)
def test_whatever_is_not_answered_200_is_lost(journal: Journal, unmet: int) -> None:
    page = Page("name", "Title")
    judge(page, journal)
    assert page.parts[-1].count("**not met**") == unmet


def test_a_score_that_changed_from_one_replica_to_another_is_not_met() -> None:
    journal = _journal("200")
    journal.ledger.largest_change = 0.5
    page = Page("name", "Title")
    judge(page, journal)
    assert page.parts[-1].count("**not met**") == 1


def test_what_was_refused_is_told_by_its_status() -> None:
    page = Page("name", "Title")
    tell(page, [_journal("200", "503", "503", "ReadError")])
    assert "2 x 503, 1 x ReadError" in page.parts[-1]


def test_the_plot_marks_every_step() -> None:
    (axes,) = plot(_journal("200", "503")).axes
    assert [text.get_text() for text in axes.texts] == ["starts", "is gone"]
