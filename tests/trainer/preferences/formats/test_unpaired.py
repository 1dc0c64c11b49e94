"""One answer a row, with a label or a score."""

import pytest

from trainer.preferences.formats.unpaired import Unpaired
from trainer.tables.record import Unusable


@pytest.mark.parametrize(
    ("label", "rating", "rated"),
    [(True, 1.0, False), ("false", 0.0, False), (3, 3.0, True), ("0.5", 0.5, True)],
)
def test_a_label_is_true_or_false_or_a_number(label: object, rating: float, rated: bool) -> None:
    row = {"prompt": "q", "completion": "a", "label": label, "model": "m"}
    found = Unpaired().rate(row)
    assert (found.answers[0].rating, found.answers[0].model, found.rated) == (rating, "m", rated)


def test_a_row_without_a_label_is_left_out() -> None:
    with pytest.raises(Unusable, match="label is neither true or false nor a number"):
        Unpaired().rate({"prompt": "q", "completion": "a", "label": "good"})
