from tests.trainer.evaluation.made import RESAMPLING, judged, question
from trainer.evaluation.measures.choice import accuracy_by_source

KEY = (False, True, False, False)


def test_the_key_must_be_best_and_ties_share() -> None:
    rows = [
        judged((0.0, 1.0, 0.0, 0.0), question(KEY, source="one")),
        judged((0.0, 1.0, 1.0, 0.0), question(KEY, source="one", group="b")),
        judged((2.0, 1.0, 0.0, 0.0), question(KEY, source="two", group="c")),
    ]
    table = accuracy_by_source(rows, RESAMPLING)
    assert {name: row["model"].value for name, row in table.rows.items()} == {
        "overall": 0.5,
        "one": 0.75,
        "two": 0.0,
    }
    assert table.rows["overall"]["random"].value == 0.25
    assert table.rows["overall"]["length_only"].value == 0.25  # options of one length
