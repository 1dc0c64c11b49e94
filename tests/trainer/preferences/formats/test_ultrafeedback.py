import pytest

from reward_model.text.chat import Message
from trainer.preferences.formats.ultrafeedback import UltraFeedback
from trainer.tables.record import Record, Unusable


def completion(text: str, rating: object) -> Record:
    """As in UltraFeedback's files, which have more beside."""
    return {
        "annotations": {"helpfulness": {"Rating": "4", "Rationale": "..."}},
        "model": "alpaca-7b",
        "response": text,
        "fine-grained_score": rating,
        "overall_score": 7.0,
    }


ROW: Record = {
    "source": "evol_instruct",
    "instruction": "Name a prime.",
    "models": ["alpaca-7b"],
    "completions": [completion("Two.", 4.75), completion("Four.", 1.5), completion("7", 4.0)],
}


def test_each_completion_is_an_answer_with_its_rating() -> None:
    judged = UltraFeedback().rate(ROW)
    assert judged.rated
    assert judged.prompt == "Name a prime."
    assert [(a.text, a.rating, a.model) for a in judged.answers] == [
        ("Two.", 4.75, "alpaca-7b"),
        ("Four.", 1.5, "alpaca-7b"),
        ("7", 4.0, "alpaca-7b"),
    ]


def test_another_score_may_be_the_rating() -> None:
    assert {a.rating for a in UltraFeedback(rating="overall_score").rate(ROW).answers} == {7.0}


def test_ratings_may_be_a_column_beside_plain_texts() -> None:
    how = UltraFeedback(prompt="input", completions="generations", ratings="ratings")
    turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Name one."}]
    row: Record = {"input": turns, "generations": ["Two.", "Four."], "ratings": ["5", 1]}
    judged = how.rate(row)
    assert judged.prompt == (Message("system", "Be brief."), Message("user", "Name one."))
    assert [(a.text, a.rating) for a in judged.answers] == [("Two.", 5), ("Four.", 1)]
    with pytest.raises(Unusable, match="not as many ratings"):
        how.rate(row | {"ratings": [1]})


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"completions": [completion("Two.", "N/A")]}, "no rating"),
        ({"completions": [completion("Two.", float("nan"))]}, "no rating"),
        ({"completions": [completion("Two.", None)]}, "no rating"),
        ({"completions": ["Two."]}, "a completion is not an object"),
        ({"completions": "Two."}, "completions is not a list"),
        ({"instruction": "\n"}, "the prompt is empty"),
    ],
)
def test_what_is_not_rated_says_why(change: Record, reason: str) -> None:
    with pytest.raises(Unusable, match=reason):
        UltraFeedback().rate(ROW | change)
