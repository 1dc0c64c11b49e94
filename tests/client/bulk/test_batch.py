"""Many rows in few requests, against the service around a fake engine."""

import httpx
import pytest
from starlette.responses import JSONResponse

from codepmp_client import AsyncRewardClient, DeadlineExceeded, Options, Refused, VersionChanged
from codepmp_client.bulk import batch
from codepmp_client.bulk.batch import score_batch
from codepmp_client.bulk.columns import RowInput, RowScores
from tests.client.servers import busy, service
from tests.service.fakes import MAX_TOKENS


def raws(rows: list[RowScores]) -> list[list[float | None]]:
    return [[score.raw for score in row.scores] for row in rows]


async def test_rows_get_their_scores_in_order_and_a_prompt_is_sent_once() -> None:
    bodies: list[bytes] = []

    async def keep(request: httpx.Request) -> None:
        bodies.append(request.content)

    rows = [RowInput(f"prompt {n % 2}", ("a", "b" * (n + 1))) for n in range(6)]
    with service() as (url, served):
        async with AsyncRewardClient(url) as client:
            client._http.event_hooks["request"].append(keep)
            scored = await score_batch(rows, client)
    assert raws(scored) == [[9.0, 9.0 + n] for n in range(6)]
    assert len(served.headers) == 1
    assert bodies[0].count(b"prompt 0") == 1
    assert bodies[0].count(b'"a"') == 2, "equal candidates of one prompt are sent once"
    assert {(row.model, row.version) for row in scored} == {("fake-rm", "1.2")}


async def test_errors_stay_with_their_candidates() -> None:
    rows = [RowInput("p", ("a", "", "x" * MAX_TOKENS, "half \ud83d")), RowInput("p", ())]
    with service() as (url, _):
        async with AsyncRewardClient(url) as client:
            first, none = await score_batch(rows, client)
    assert [score.error and score.error.code for score in first.scores] == [
        *(None, "empty", "too_long", "unencodable")
    ]
    assert none == RowScores(())


async def test_a_request_that_is_refused_is_divided_until_one_candidate_is_at_fault() -> None:
    rows = [RowInput("p", ("a",)), RowInput("q", ("b", "z" * 3000, "c"))]
    with service(max_body_bytes=1024) as (url, _):
        async with AsyncRewardClient(url) as client:
            first, second = await score_batch(rows, client)
    assert raws([first, second]) == [[2.0], [2.0, None, 2.0]]
    error = second.scores[1].error
    assert error
    assert error.code == "body_too_large"


async def test_a_refusal_that_every_request_would_get_ends_the_call() -> None:
    with service() as (url, served):
        async with AsyncRewardClient(url) as client:
            with pytest.raises(Refused, match="model"):
                await score_batch([RowInput("p", ("a", "b"))], client, Options("other"))
    assert len(served.headers) == 1


@pytest.mark.parametrize(("late", "is_scored"), [(1, True), (2, False)])
async def test_a_request_that_comes_too_late_is_tried_once_more_in_halves(
    late: int, is_scored: bool
) -> None:
    error = {"message": "too late", "code": "deadline_exceeded"}
    faults = [JSONResponse({"error": error}, 504) for _ in range(late)]
    rows = [RowInput("p", ("a", "bb"))]
    with service(*faults) as (url, served):
        async with AsyncRewardClient(url) as client:
            if is_scored:
                assert raws(await score_batch(rows, client)) == [[2.0, 3.0]]
            else:
                with pytest.raises(DeadlineExceeded):
                    await score_batch(rows, client)
    assert len(served.headers) == (3 if is_scored else 2)


async def test_what_is_scored_is_told_before_another_request_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(batch, "REQUEST_CANDIDATES", 1)
    told: list[int] = []
    rows = [RowInput("p", ("a",)), RowInput("p", ("b",))]
    with service() as (url, served):
        async with AsyncRewardClient(url, concurrency=1) as client:

            def keep(index: int, scores: RowScores) -> None:
                told.append(index)
                served.faults.append(busy(401, None))

            with pytest.raises(Refused):
                await score_batch(rows, client, scored=keep)
    assert told == [0]


async def test_a_row_is_scored_by_one_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "REQUEST_CANDIDATES", 1)
    versions = iter("12")

    def answer(request: httpx.Request) -> httpx.Response:
        score = {"score": 1.0, "normalized": None, "tokens": 1, "error": None}
        body = {"model": "m", "version": next(versions), "results": [{"scores": [score]}]}
        return httpx.Response(200, json=body)

    transport = httpx.MockTransport(answer)
    async with AsyncRewardClient("http://rm", transport=transport) as client:
        with pytest.raises(VersionChanged, match="in the middle of a row"):
            await score_batch([RowInput("p", ("a", "b"))], client)
