import httpx
import pytest

from codepmp_client.errors import (
    BadAnswer,
    DeadlineExceeded,
    Refused,
    RewardError,
    ServerFault,
    Unavailable,
)
from codepmp_client.wire import read_error, read_response

POST = httpx.Request("POST", "http://rm/v1/score")


def ours(status: int, code: str) -> httpx.Response:
    detail = {"message": "words", "type": "server_error", "param": "inputs", "code": code}
    headers = {"X-Request-Id": "abc"}
    return httpx.Response(status, json={"error": detail}, headers=headers, request=POST)


def foreign(status: int) -> httpx.Response:
    return httpx.Response(status, html="<html></html>", request=POST)


@pytest.mark.parametrize(
    ("response", "kind"),
    [
        (ours(422, "invalid_request"), Refused),
        (ours(404, "model_not_found"), Refused),
        (ours(500, "internal_error"), ServerFault),
        (ours(429, "queue_full"), Unavailable),
        (ours(503, "queue_full"), Unavailable),
        (ours(504, "deadline_exceeded"), DeadlineExceeded),
        (foreign(502), Unavailable),
        (foreign(503), Unavailable),
        (foreign(504), Unavailable),
        (foreign(307), Refused),
        (foreign(401), Refused),
    ],
)
def test_only_what_may_pass_is_tried_again(
    response: httpx.Response, kind: type[RewardError]
) -> None:
    assert type(read_error(response)) is kind


def test_an_error_has_the_servers_words_and_names() -> None:
    error = read_error(ours(422, "invalid_request"))
    assert (error.message, error.status, error.code) == ("words", 422, "invalid_request")
    assert (error.param, error.request_id) == ("inputs", "abc")
    assert str(error) == "words (422, invalid_request, request abc)"


def test_a_proxys_error_names_the_status() -> None:
    assert str(read_error(foreign(502))) == ("http://rm/v1/score answered 502 Bad Gateway (502)")


@pytest.mark.parametrize(
    ("named", "score_type"),
    [({"score_type": "weighted_normalized"}, "weighted_normalized"), ({}, "raw_logit")],
)
def test_an_answer_says_what_its_scores_are(named: dict[str, str], score_type: str) -> None:
    score = {"score": 1.0, "normalized": None, "tokens": 3, "error": None}
    body = {"model": "rm", "version": "1", "results": [{"scores": [score]}], **named}
    answer = read_response(httpx.Response(200, json=body, request=POST), [1])
    assert answer.score_type == score_type


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b"[]",
        b'{"results": []}',
        b'{"model": "rm", "version": "1", "results": []}',
        b'{"model": "rm", "version": "1", "results": [{"scores": []}]}',
        b'{"model": "rm", "version": "1", "results": [{"scores": [1]}]}',
        *(
            b'{"model": "rm", "version": "1", "results": [{"scores": [{"score": %s, '
            b'"normalized": null, "tokens": 3, "error": null}]}]}' % score
            for score in (b"NaN", b"1e999", b'"0.5"')
        ),
    ],
)
def test_an_answer_to_something_else_is_not_taken_for_scores(body: bytes) -> None:
    with pytest.raises(BadAnswer, match="reward-model server"):
        read_response(httpx.Response(200, content=body, request=POST), [1])
