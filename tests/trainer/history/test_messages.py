"""Which messages are requests, and what of them is left when people are taken out."""

import pytest

from trainer.history.messages import (
    is_bot,
    is_revert,
    reason_to_skip,
    reverted_ids,
    without_people,
)


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("Fix the step of the last page", None),
        ("fix(pager): count the last page", None),
        ("Movements of the mouse are counted twice", None),
        ("Format strings may have no field", "housekeeping"),  # the price of a plain rule
        ("wip", "housekeeping"),
        ("docs: say how pages are counted", "housekeeping"),
        ("v1.2.3", "housekeeping"),
        ("refactor: rename pages to sheets", "rename or move"),
        ("Fix it", "message says too little"),
        ("#1234", "message says too little"),
        ("Fix pages " * 200, "message too long"),
    ],
)
def test_the_reason_against_a_message(message: str, reason: str | None) -> None:
    assert reason_to_skip(message, 1500) == reason


def test_people_are_taken_out_of_a_message() -> None:
    message = (
        "Count the last page (#31)\n\nAs Ada Lovelace told us.\nAdamant tests fail.\n\n"
        "Signed-off-by: Ada Lovelace <ada@b.org>\n(cherry picked from commit 0123456)"
        "\nwrite to a@b.org"
    )
    kept = without_people(message, ("Ada Lovelace", "ada@b.org", "Al"))
    assert kept == "Count the last page\n\nAdamant tests fail."


def test_what_a_revert_takes_back() -> None:
    message = 'Revert "Count"\n\nThis reverts commit 0123456789abcdef, and reverts commit fedcba9.'
    assert is_revert(message)
    assert reverted_ids(message) == ["0123456789abcdef", "fedcba9"]
    assert not is_revert("Reverting is possible now")


def test_programs_that_commit() -> None:
    assert is_bot(("dependabot[bot]", "49699333+dependabot[bot]@users.noreply.github.com"))
    assert not is_bot(("Abbot Costello", "abbot@example.org"))
