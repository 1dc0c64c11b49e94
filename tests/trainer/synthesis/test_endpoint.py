"""One request at a time, against a server that fails as planned."""

import asyncio
import threading
from dataclasses import replace
from typing import get_args

import pytest

from tests.trainer.synthesis.server import Server, echo, serving
from trainer.pipeline.stage import StageError
from trainer.synthesis.endpoint import Endpoint, EndpointConfig
from trainer.synthesis.requests import (
    Completion,
    CompletionRequest,
    Failure,
    RequestOutcome,
    Route,
    Sampling,
)


def complete(config: EndpointConfig, request: CompletionRequest) -> RequestOutcome:
    async def run() -> RequestOutcome:
        async with Endpoint(config) as endpoint:
            return await endpoint.complete(request)

    return asyncio.run(run())


def config(server: Server) -> EndpointConfig:
    return EndpointConfig(server.url, "coder", max_retries=0)


def request(sampling: Sampling | None = None) -> CompletionRequest:
    sampling = sampling or Sampling(seed=3)
    return CompletionRequest("id", "hello", sampling.body(sampling.seed))


def test_the_request_holds_what_was_configured() -> None:
    with serving() as server:
        sampling = Sampling(0.2, 0.9, 50, 5, stop=("END",), extra={"top_k": 3})
        complete(config(server), request(sampling))
    (body,) = server.bodies
    assert body == {
        "model": "coder",
        "messages": [{"role": "user", "content": "hello"}],
        "temperature": 0.2,
        "top_p": 0.9,
        "max_tokens": 50,
        "seed": 5,
        "stop": ["END"],
        "top_k": 3,
    }


@pytest.mark.parametrize("route", get_args(Route))
def test_both_routes_return_text_tokens_and_the_finish_reason(route: Route) -> None:
    with serving(reply=lambda prompt, seed: f"one two {prompt}") as server:
        sampling = request(Sampling(max_tokens=2))
        completion = complete(replace(config(server), route=route), sampling)
    assert completion == Completion("id", "one two hello", "length", 1, 3)


def test_the_completions_route_sends_the_prompt_as_it_is() -> None:
    with serving() as server:
        complete(replace(config(server), route="completions"), request())
    assert server.bodies[0]["prompt"] == "hello"


def test_retries_follow_the_endpoints_wish() -> None:
    with serving(plan=["500", "429", "500"]) as server:
        completion = complete(replace(config(server), max_retries=3), request())
    assert len(server.bodies) == 4
    assert isinstance(completion, Completion)
    assert completion.text == echo("hello", 3)


@pytest.mark.parametrize(
    ("fault", "reason", "fatal"),
    [
        ("500", "status 500", False),
        ("429", "status 429", False),
        ("401", "status 401", True),
        ("404", "status 404", True),
        ("close", "no connection", False),
        ("html", "malformed reply", False),
        ("no json", "malformed reply", False),
        ("no choices", "malformed reply", False),
    ],
)
def test_every_fault_is_a_failure_with_a_reason(fault: str, reason: str, fatal: bool) -> None:
    with serving(plan=[fault]) as server:
        failure = complete(config(server), request())
    assert isinstance(failure, Failure)
    assert (failure.id, failure.reason, failure.fatal) == ("id", reason, fatal)


def test_a_request_that_is_never_answered_meets_its_deadline() -> None:
    with serving() as server:
        server.hold = threading.Barrier(2)
        try:
            failure = complete(replace(config(server), deadline_seconds=0.2), request())
        finally:
            server.hold.abort()
    assert failure == Failure("id", "deadline", "no answer in 0.2 s")


def test_text_that_no_file_can_hold_is_replaced() -> None:
    with serving(reply=lambda prompt, seed: "half a \ud83d pair") as server:
        completion = complete(config(server), request())
    assert isinstance(completion, Completion)
    assert completion.text == "half a ? pair"


def test_an_address_or_a_key_that_is_not_set_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CODER_URL", raising=False)
    with pytest.raises(StageError, match=r"URL is \$CODER_URL: set that environment variable"):
        Endpoint(EndpointConfig("$CODER_URL", "coder"))
    monkeypatch.delenv("CODER_KEY", raising=False)
    with pytest.raises(StageError, match=r"\$CODER_KEY, which is not set"):
        Endpoint(EndpointConfig("http://127.0.0.1:1/v1", "coder", key_variable="CODER_KEY"))


def test_prices_are_of_a_million_tokens() -> None:
    priced = EndpointConfig("", "coder", prompt_price=2.0, completion_price=6.0)
    assert priced.cost(1_000_000, 500_000) == 5.0
