"""TEI's bodies: what a text, a pair and a batch become, and its kinds of errors."""

import pytest

from reward_model.text.chat import Message
from reward_model.text.encoding import Rendered
from service import errors
from service.routes.tei.shapes import PredictRequest, TeiRerankRequest, predictions, tei_error
from service.routes.tei.shapes import rank_texts as ranked
from service.scoring.types import Chat, Item, ItemScore, ScoringResult, Timings

NO_TIME = Timings(0, 0, 0, 0, 0, 0)
ALONE = Rendered("a", add_special_tokens=True)
PAIR = Chat.of((Message("user", "q"), Message("assistant", "a")))


def result(*scores: float) -> ScoringResult:
    return ScoringResult("rm", "1", (tuple(ItemScore(1, one) for one in scores),), 1, 0, NO_TIME)


@pytest.mark.parametrize(
    ("inputs", "items", "is_batch"),
    [
        ("a", [ALONE], False),
        (["a"], [ALONE], False),
        (["q", "a"], [PAIR], False),
        ([["a"], ["q", "a"]], [ALONE, PAIR], True),
    ],
)
def test_inputs_are_texts_or_pairs(inputs: object, items: list[Item], is_batch: bool) -> None:
    body = PredictRequest.model_validate({"inputs": inputs, "raw_scores": True})
    assert body.to_scoring_request().inputs == tuple((item,) for item in items)
    rows = predictions(body, result(2.0))
    assert isinstance(rows[0], list) == is_batch


def test_texts_are_ranked_by_raw_scores() -> None:
    body = TeiRerankRequest.model_validate({"query": "q", "texts": ["a", "b"], "return_text": True})
    assert [(one.index, one.text) for one in ranked(body, result(60.0, 70.0))] == [
        (1, "b"),
        (0, "a"),
    ]
    assert body.to_scoring_request().over_length == "error"


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (errors.QueueFull("m", retry_after=1), 503, "Overloaded"),
        (errors.Draining("m", retry_after=1), 503, "Unhealthy"),
        (errors.InvalidRequest("m"), 422, "Validation"),
        (errors.InternalError("m"), 500, "Backend"),
    ],
)
def test_errors_have_a_kind(error: errors.ServiceError, status: int, kind: str) -> None:
    assert tei_error(error, status) == {"error": "m", "error_type": kind, "message": "m"}
