"""The one core of both clients: what it does next, given what came of the last step. No I/O."""

import itertools
import json
import time

import httpx
import pytest

from codepmp_client.errors import DeadlineExceeded, RewardError, Unavailable
from codepmp_client.exchange import Exchange, Reply, Send, Step, Wait
from codepmp_client.inputs import INTERACTIVE, Input, Options
from codepmp_client.split import split

POST = httpx.Request("POST", "http://rm/v1/score")


def exchange(
    candidate: str = "a", *, seconds: float = 60, options: Options = INTERACTIVE
) -> Exchange:
    (request,) = split([Input("prompt", [candidate])], 1)
    return Exchange(request, options, time.monotonic() + seconds)


def run(asked: Exchange, *replies: Reply) -> list[Step]:
    """The steps it takes, when sending gets these replies; waits take no time."""
    steps, taken, coming = asked.steps(), [], iter(replies)
    taken.append(next(steps))
    while True:
        reply = next(coming, None) if isinstance(taken[-1], Send) else None
        if reply is None and isinstance(taken[-1], Send):
            return taken
        taken.append(steps.send(reply))


def refusal(**headers: str) -> httpx.Response:
    return httpx.Response(503, headers=headers, request=POST)


def test_what_is_sent() -> None:
    asked = exchange(options=Options(priority="bulk"))
    (send,) = run(asked)
    assert isinstance(send, Send)
    body = json.loads(send.content)
    assert 59_000 < body.pop("timeout_ms") <= 60_000
    assert body == {
        "inputs": [{"prompt": "prompt", "candidates": ["a"]}],
        "priority": "bulk",
        "over_length": "error",
    }
    assert send.headers["X-Request-Id"] == asked.id
    assert send.timeout.connect == 10
    assert 59 < (send.timeout.read or 0) <= 60


@pytest.mark.parametrize(
    "error",
    [
        httpx.ConnectError("refused"),
        httpx.ConnectTimeout(""),
        httpx.ReadError(""),
        httpx.RemoteProtocolError("cut off"),
        httpx.ProxyError("bad gateway"),
    ],
)
def test_a_lost_connection_is_tried_again_under_the_same_id(error: httpx.TransportError) -> None:
    first, wait, second = run(exchange(), error)
    assert isinstance(first, Send)
    assert isinstance(wait, Wait)
    assert isinstance(second, Send)
    assert first.headers == second.headers


def test_waits_grow_and_the_time_left_is_sent() -> None:
    steps = run(exchange(), *itertools.repeat(refusal(), 5))
    waits = [step.seconds for step in steps if isinstance(step, Wait)]
    assert all(wait <= longest for wait, longest in zip(waits, (0.25, 0.5, 1, 2, 4), strict=True))
    sent = [json.loads(step.content)["timeout_ms"] for step in steps if isinstance(step, Send)]
    assert sent == sorted(sent, reverse=True)


def test_retry_after_is_obeyed() -> None:
    _, wait, _ = run(exchange(), refusal(**{"Retry-After": "7"}))
    assert isinstance(wait, Wait)
    assert 7 <= wait.seconds < 7.25


def test_a_wait_past_the_deadline_is_not_begun() -> None:
    with pytest.raises(Unavailable) as failure:
        run(exchange(seconds=5), refusal(**{"Retry-After": "5", "X-Request-Id": "abc"}))
    assert (failure.value.status, failure.value.request_id) == (503, "abc")


def test_a_silent_server_is_not_asked_twice() -> None:
    with pytest.raises(DeadlineExceeded, match="no answer came"):
        run(exchange(), httpx.ReadTimeout(""))


def test_what_fails_on_our_side_is_not_tried_again() -> None:
    with pytest.raises(RewardError, match="the request failed") as failure:
        run(exchange(), httpx.LocalProtocolError("Illegal header value b'Bearer secret'"))
    assert "secret" not in str(failure.value)


def test_a_request_whose_turn_comes_too_late_is_not_sent() -> None:
    with pytest.raises(DeadlineExceeded, match="before the request could be sent"):
        run(exchange(seconds=0))


def test_half_a_surrogate_pair_is_named_and_not_repeated() -> None:
    with pytest.raises(ValueError, match="surrogate") as failure:
        run(exchange("secret \ud800"))
    assert "secret" not in str(failure.value)
