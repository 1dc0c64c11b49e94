import threading

import pytest

from tests.trainer.synthesis.server import serving
from trainer.synthesis.asyncio_engine import send_all
from trainer.synthesis.endpoint import EndpointConfig
from trainer.synthesis.requests import CompletionRequest, Failure, RequestOutcome

REQUESTS = [CompletionRequest(f"id{number}", f"prompt {number}", {}) for number in range(12)]


def test_each_request_has_one_outcome_and_failures_are_outcomes_too() -> None:
    outcomes: list[RequestOutcome] = []
    with serving(plan=["500", None, "close"]) as server:
        config = EndpointConfig(server.url, "coder", concurrency=3, max_retries=0)
        send_all(REQUESTS, config, outcomes.append)
    assert sorted(each.id for each in outcomes) == sorted(each.id for each in REQUESTS)
    failures = [each.reason for each in outcomes if isinstance(each, Failure)]
    assert sorted(failures) == ["no connection", "status 500"]


def test_requests_in_flight_are_as_many_as_allowed() -> None:
    """Each waits until four are there, so fewer would never end and more would be seen."""
    outcomes: list[RequestOutcome] = []
    with serving() as server:
        server.hold = threading.Barrier(4)
        config = EndpointConfig(server.url, "coder", concurrency=4, max_retries=0)
        send_all(REQUESTS, config, outcomes.append)
    assert (len(outcomes), server.max_in_flight) == (12, 4)


def test_an_error_while_recording_ends_the_sending() -> None:
    def record(outcome: RequestOutcome) -> None:
        raise RuntimeError("the disk is full")

    with serving() as server:
        config = EndpointConfig(server.url, "coder", concurrency=2, max_retries=0)
        with pytest.raises(RuntimeError, match="the disk is full"):
            send_all(REQUESTS, config, record)
    assert len(server.bodies) <= 2
