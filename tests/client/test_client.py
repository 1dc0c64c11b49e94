"""Both clients over real sockets, against the service around a fake engine."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol, TypedDict, Unpack

import httpx
import pytest
from starlette.responses import JSONResponse

from codepmp_client import (
    AsyncRewardClient,
    BadAnswer,
    DeadlineExceeded,
    Input,
    Options,
    PartScore,
    Refused,
    Result,
    RewardClient,
    RewardError,
    StepScore,
    Unavailable,
)
from service.scoring.criteria import Criteria
from service.scoring.model import Model
from service.settings import Settings
from tests.client.servers import Drop, Fault, Silence, busy, service
from tests.service.fakes import CALIBRATION, MAX_TOKENS, model, starting


class Config(TypedDict, total=False):
    api_key: str | None
    timeout: float
    concurrency: int
    candidates_per_request: int


class Ask(Protocol):
    async def __call__(
        self,
        url: str,
        inputs: Sequence[Input],
        options: Options = ...,
        **config: Unpack[Config],
    ) -> list[Result]: ...


async def blocking(
    url: str,
    inputs: Sequence[Input],
    options: Options = Options(),  # noqa: B008 - frozen
    **config: Unpack[Config],
) -> list[Result]:
    def call() -> list[Result]:
        with RewardClient(url, **config) as client:
            return client.score_many(inputs, options)

    return await asyncio.to_thread(call)


async def evented(
    url: str,
    inputs: Sequence[Input],
    options: Options = Options(),  # noqa: B008 - frozen
    **config: Unpack[Config],
) -> list[Result]:
    async with AsyncRewardClient(url, **config) as client:
        return await client.score_many(inputs, options)


with_both = pytest.mark.parametrize("ask", [blocking, evented])
ONE = [Input("prompt", ["a"])]


def raws(results: Sequence[Result]) -> list[list[float | None]]:
    return [[score.raw for score in result.scores] for result in results]


@with_both
async def test_results_are_in_order_with_errors_as_values(ask: Ask) -> None:
    turns = [{"role": "user", "content": "prompt"}]
    inputs = [Input("prompt", ["a", "x" * MAX_TOKENS, "long one"]), Input(turns, ["bc"])]
    with service() as (url, _):
        first, second = await ask(url, inputs)
    assert raws([first, second]) == [[7.0, None, 14.0], [8.0]]
    assert (first.ranking, first.best) == ((2, 0), 2)
    assert (first.model, first.version) == ("fake-rm", "1.2")
    assert first.scores[0].normalized == CALIBRATION.apply(7.0)
    too_long = first.scores[1]
    assert too_long.tokens == 70
    assert too_long.error
    assert too_long.error.code == "too_long"


@with_both
async def test_a_big_job_is_split_and_put_together_again(ask: Ask) -> None:
    inputs = [Input("p", ["x" * (1 + (of + at) % 9) for at in range(of)]) for of in range(1, 13)]
    with service() as (url, served):
        results = await ask(url, inputs, candidates_per_request=10, concurrency=3)
    assert raws(results) == [[1.0 + len(str(c)) for c in entry.candidates] for entry in inputs]
    assert len(served.headers) > 7


@with_both
async def test_options_are_sent(ask: Ask) -> None:
    options = Options("fake-rm", "bulk", "truncate_prompt", "\n")
    inputs = [Input("p" * MAX_TOKENS, [["a", "b"], "c"])]
    with service() as (url, _):
        ((steps, whole),) = [result.scores for result in await ask(url, inputs, options)]
    assert steps.steps == (
        StepScore(1, MAX_TOKENS - 2),
        StepScore(3, MAX_TOKENS),
    )
    assert (whole.raw, whole.tokens_dropped) == (MAX_TOKENS, 1)


@with_both
async def test_nothing_asked_is_nothing_sent(ask: Ask) -> None:
    with service() as (url, served):
        assert await ask(url, []) == []
    assert served.headers == []


@with_both
async def test_overload_proxies_and_lost_connections_are_tried_again(ask: Ask) -> None:
    faults: list[Fault] = [busy(), Drop(), busy(504, None)]
    with service(*faults) as (url, served):
        assert raws(await ask(url, ONE)) == [[7.0]]
    assert len(served.headers) == 4
    assert len({headers["x-request-id"] for headers in served.headers}) == 1


@with_both
async def test_retry_after_is_obeyed(ask: Ask) -> None:
    with service(busy(retry_after="1")) as (url, _):
        begun = time.monotonic()
        await ask(url, ONE)
    assert time.monotonic() - begun >= 1


@with_both
async def test_what_does_not_pass_in_time_is_the_servers_own_error(ask: Ask) -> None:
    with service(busy(retry_after="30")) as (url, _):
        begun = time.monotonic()
        with pytest.raises(Unavailable) as failure:
            await ask(url, ONE, timeout=20)
    assert time.monotonic() - begun < 15, "no wait is begun that the deadline would cut"
    assert failure.value.status == 503


@with_both
async def test_a_refusal_is_not_repeated_and_has_the_servers_words(ask: Ask) -> None:
    refused = pytest.raises(Refused, match="split the request")
    with service(max_candidates=2) as (url, served), refused as failure:
        await ask(url, [Input("p", ["a"] * 3)])
    error = failure.value
    assert (error.status, error.code, error.param) == (422, "invalid_request", "inputs")
    assert [headers["x-request-id"] for headers in served.headers] == [error.request_id]


@with_both
async def test_a_silent_server_costs_the_timeout_and_no_more(ask: Ask) -> None:
    with service(Silence()) as (url, served), pytest.raises(DeadlineExceeded) as failure:
        await ask(url, ONE, timeout=0.5)
    assert failure.value.request_id == served.headers[0]["x-request-id"]


@with_both
async def test_nobody_there_is_an_error_that_says_so(ask: Ask) -> None:
    with pytest.raises(Unavailable, match="cannot be reached"):
        await ask("http://127.0.0.1:1", ONE, timeout=0.3)


@with_both
async def test_another_server_is_an_error_that_says_so(ask: Ask) -> None:
    refused = pytest.raises(BadAnswer, match="is it a reward-model server")
    with service(JSONResponse({"scores": [1.0]})) as (url, _), refused:
        await ask(url, ONE)


@with_both
async def test_one_failed_request_fails_the_call(ask: Ask) -> None:
    with service(max_candidates=1) as (url, _), pytest.raises(Refused):
        await ask(url, [Input("p", ["a"]), Input("p", ["a", "b"])], candidates_per_request=2)


@with_both
async def test_the_key_is_sent_as_a_bearer_and_not_shown(ask: Ask) -> None:
    with service() as (url, served):
        await ask(url, ONE, api_key="secret\n")
        await ask(url, ONE)
    keyed, keyless = served.headers
    assert keyed["authorization"] == "Bearer secret"
    assert "authorization" not in keyless
    assert "secret" not in repr(RewardClient(url, api_key="secret"))


@with_both
async def test_no_more_requests_are_in_flight_than_allowed(ask: Ask) -> None:
    inputs = [Input("p", ["x" * of]) for of in range(1, 21)]
    with service() as (url, served):
        results = await ask(url, inputs, candidates_per_request=1, concurrency=2)
    assert raws(results) == [[1.0 + of] for of in range(1, 21)]
    assert len(served.headers) == 20
    assert served.max_in_flight <= 2


async def test_a_closed_client_tries_nothing_again() -> None:
    with service(busy(retry_after="30"), busy(retry_after="30")) as (url, served):
        client = RewardClient(url, candidates_per_request=1)
        asking = asyncio.create_task(asyncio.to_thread(client.score_many, ONE * 2))
        for _ in range(2):
            assert await asyncio.to_thread(served.arrived.acquire, timeout=10)
        await asyncio.to_thread(client.close)
        with pytest.raises(RewardError, match="closed"):
            await asking


@pytest.mark.parametrize(
    ("url", "config"),
    [
        ("localhost:8000", {}),
        ("http://rm", {"timeout": 0.0}),
        ("http://rm", {"timeout": 1e6}),
        ("http://rm", {"concurrency": 0}),
        ("http://rm", {"candidates_per_request": 0}),
    ],
)
def test_what_cannot_work_is_refused_when_it_is_set(url: str, config: Config) -> None:
    with pytest.raises(ValueError, match="must"):
        RewardClient(url, **config)


async def test_a_path_before_the_servers_own_is_kept() -> None:
    seen = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.url.path)
        return httpx.Response(401)

    client = RewardClient("http://rm/models/a", transport=httpx.MockTransport(answer))
    with client, pytest.raises(Refused):
        client.score("p", ["a"])
    assert seen == ["/models/a/v1/score"]


_CRITERIA = Criteria({"right": "Right?", "short": "S?"}, weights={"right": 1.0, "short": 0.5})


def _judging(_: Settings) -> Model:
    return replace(model(), criteria=_CRITERIA)


async def test_criteria_come_back_as_parts_and_their_weighted_sum() -> None:
    async with starting(_judging) as app:
        await app.service.started()
        transport = httpx.ASGITransport(app.app)
        async with AsyncRewardClient("http://test", transport=transport) as client:
            named = await client.score("p", ["ab", ""], Options(criteria=["right", "short"]))
            weighted = await client.score("p", ["ab"], Options(criteria={"short": -2}))
            plain = await client.score("p", ["ab"], Options(criteria=()))
            with pytest.raises(Refused, match="nearest is short"):
                await client.score("p", ["ab"], Options(criteria={"shrot": 1.0}))
    assert named.score_type == "weighted_raw"
    assert named.scores[0].raw == 9 + 0.5 * 5
    assert named.scores[0].parts == {
        "right": PartScore(1.0, 9.0, CALIBRATION.apply(9.0)),
        "short": PartScore(0.5, 5.0, CALIBRATION.apply(5.0)),
    }
    assert named.scores[1].error
    assert named.scores[1].parts["right"] == PartScore(1.0, None, None)
    assert weighted.scores[0].raw == -10.0
    assert (plain.scores[0].raw, plain.scores[0].parts) == (3.0, {})


def test_one_string_is_not_taken_for_names_of_one_letter() -> None:
    with pytest.raises(TypeError, match="give a list of names"):
        Options(criteria="right")
