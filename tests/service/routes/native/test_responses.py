"""From a result of the scorer to the native response."""

from service.errors import ItemError
from service.routes.native.responses import to_response
from service.routes.native.shapes import ScoreRequest
from service.scoring.types import ItemScore, Part, ScoringRequest, ScoringResult, Timings

NO_TIME = Timings(0, 0, 0, 0, 0, 0)


def asked(**body: object) -> ScoringRequest:
    return ScoreRequest.model_validate(body).to_scoring_request()


def test_the_response_keeps_the_order_and_ranks_what_has_a_score() -> None:
    request = asked(inputs=[{"prompt": "p", "candidates": ["a\nb", "", "c"]}], steps={})
    error = ItemError("empty", "nothing to score")
    scores = (
        ItemScore(4, raw=1.0, steps=(0.5, 1.0)),
        ItemScore(0, error=error),
        ItemScore(2, raw=3.0, steps=(3.0,), dropped_tokens=5),
    )
    result = ScoringResult("rm", "1", (scores,), 5, 1, NO_TIME)
    response = to_response("id", request, result, "raw_logit")
    (entry,) = response.results
    first, empty, last = entry.scores
    assert (entry.ranking, entry.best) == ([2, 0], 2)
    assert first.steps
    assert [step.end for step in first.steps] == [1, 3]
    assert empty.steps is None
    assert empty.error
    assert empty.error.code == "empty"
    assert (last.truncated, last.tokens_dropped) == (True, 5)
    assert (response.id, response.score_type) == ("score-id", "raw_logit")
    assert (response.usage.tokens, response.usage.computed_tokens) == (6, 5)


def test_a_weighted_sum_has_its_parts() -> None:
    request = asked(inputs=[{"prompt": "p", "candidates": ["a"]}])
    parts = {"x@1": Part(0.5, 4.0, 1.0, tokens=2), "y@1": Part(2.0, None, None, tokens=2)}
    total = ScoringResult("x+y", "1+1", ((ItemScore(4, parts=parts),),), 4, 0, NO_TIME)
    response = to_response("id", request, total, "weighted_normalized")
    shares = response.results[0].scores[0].parts
    assert response.score_type == "weighted_normalized"
    assert shares
    assert list(shares) == ["x@1", "y@1"]
    assert (shares["x@1"].weight, shares["x@1"].score, shares["y@1"].score) == (0.5, 4.0, None)
