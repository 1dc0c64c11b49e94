"""Cohere's and Jina's bodies: what is ranked, and how its relevance is shown."""

import pytest

from service.routes.rerank.shapes import RerankRequest, rank_documents
from service.scoring.types import ItemScore, ScoringResult, Timings

SCORES = (ItemScore(1, 1.0, 50.0), ItemScore(1, 3.0, 60.0), ItemScore(1, 2.0, 55.0))
RESULT = ScoringResult("rm", "1", (SCORES,), 3, 0, Timings(0, 0, 0, 0, 0, 0))


def body(**options: object) -> RerankRequest:
    documents = ["a", {"text": "b", "id": 7}, "c"]
    return RerankRequest.model_validate({"query": "q", "documents": documents, **options})


def test_documents_are_texts_or_objects_and_share_the_query() -> None:
    assert body().texts == ("a", "b", "c")
    assert [len(group) for group in body().to_scoring_request().inputs] == [3]


def test_the_order_is_that_of_raw_scores_where_sigmoids_are_equal() -> None:
    ranked = rank_documents(body(), RESULT, with_documents=True)
    assert [one.index for one in ranked] == [1, 2, 0]
    assert {one.relevance_score for one in ranked} == {1.0}
    assert [one.document.text for one in ranked if one.document] == ["b", "c", "a"]


@pytest.mark.parametrize(("top_n", "count"), [(None, 3), (0, 3), (1, 1), (9, 3)])
def test_only_the_best_are_returned(top_n: int | None, count: int) -> None:
    ranked = rank_documents(body(top_n=top_n), RESULT, with_documents=False)
    assert len(ranked) == count
    assert all(one.document is None for one in ranked)


@pytest.mark.parametrize("options", [{"raw_scores": True}, {"activation": False}])
def test_raw_scores_may_be_asked_for(options: dict[str, bool]) -> None:
    ranked = rank_documents(body(**options), RESULT, with_documents=False)
    assert [one.relevance_score for one in ranked] == [3.0, 2.0, 1.0]
