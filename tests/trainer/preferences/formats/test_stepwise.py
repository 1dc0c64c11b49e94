import pytest

from trainer.preferences.formats.stepwise import Stepwise
from trainer.tables.record import Record, Unusable

STEPS = ["def add(a, b):", "    total = a + b", "    return total"]


def row(*labels: object, steps: object = None) -> Record:
    completions = STEPS[: len(labels)] if steps is None else steps
    return {"prompt": "Add.", "completions": completions, "labels": list(labels)}


@pytest.mark.parametrize(
    ("labels", "rating"),
    [
        ((True, True, True), 1),
        ((1, 1, 1), 1),
        ((True, True, False), 0),
        ((True, False, None), 0),
        ((False, None, None), 0),
        ((True, False), 0),
    ],
)
def test_right_is_what_has_no_wrong_step(labels: tuple[object, ...], rating: int) -> None:
    rated = Stepwise().rate(row(*labels))
    (answer,) = rated.answers
    assert (answer.text, answer.rating) == ("\n".join(STEPS[: len(labels)]), rating)
    assert rated.prompt == "Add."


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (row(True, False, True), "after a step that was judged wrong"),
        (row(True, True, None), "no step is wrong, and one has no label"),
        (row(True, True, steps=STEPS), "not one label for each step"),
        (row(), "not one label for each step"),
        (row(True, steps=[3]), "a step that is not text"),
        (row(0.5, True), "neither true nor false"),
        (row("yes", True), "neither true nor false"),
        ({**row(True), "labels": None}, "labels is not a list"),
    ],
)
def test_what_is_not_labelled_says_why(record: Record, reason: str) -> None:
    with pytest.raises(Unusable, match=reason):
        Stepwise().rate(record)
