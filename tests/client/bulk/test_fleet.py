"""Several servers, each asked as fast as it answers."""

import asyncio

import httpx
import pytest

from codepmp_client import AsyncRewardClient, Input
from codepmp_client.bulk.fleet import Fleet
from tests.client.servers import Drop, busy, service


def fleet_client(urls: list[str], concurrency: int = 4) -> tuple[AsyncRewardClient, Fleet]:
    fleet = Fleet(urls, concurrency, httpx.AsyncClient())
    return AsyncRewardClient(urls[0], transport=fleet, concurrency=64, timeout=20), fleet


async def ask(client: AsyncRewardClient, fleet: Fleet, count: int) -> list[float | None]:
    async def one(number: int) -> float | None:
        async with fleet.slot():
            ((score,),) = [
                result.scores for result in await client.score_many([Input("p", ["x" * number])])
            ]
            return score.raw

    return await asyncio.gather(*(one(number) for number in range(1, count + 1)))


async def test_servers_share_the_work_and_a_dead_one_is_left_out() -> None:
    with service() as (first, a), service() as (second, b):
        client, fleet = fleet_client([first, "http://127.0.0.1:1", second + "/"])
        async with client:
            scores = await ask(client, fleet, 30)
    assert scores == [1.0 + number for number in range(1, 31)]
    assert min(len(a.headers), len(b.headers)) >= 8
    assert len(a.headers) + len(b.headers) == 30
    assert [server.answered for server in fleet.servers] == [len(a.headers), 0, len(b.headers)]


async def test_overload_halves_what_is_in_flight_and_answers_let_it_grow() -> None:
    with service(*[busy(retry_after="0")] * 2) as (url, served):
        client, fleet = fleet_client([url], concurrency=6)
        (server,) = fleet.servers
        before = server.limit
        async with client:
            await ask(client, fleet, 4)
            assert server.limit < before
            await ask(client, fleet, 60)
    assert server.limit == 6
    assert served.max_in_flight <= 6


async def test_a_lost_connection_is_tried_again_elsewhere() -> None:
    with service(Drop()) as (first, a), service() as (second, b):
        client, fleet = fleet_client([first, second])
        async with client:
            assert await ask(client, fleet, 1) == [2.0]
    assert (len(a.headers), len(b.headers)) == (1, 1)


async def test_nothing_new_is_sent_before_retry_after_has_passed() -> None:
    with service(busy(retry_after="1")) as (url, served):
        client, fleet = fleet_client([url])
        async with client:
            first = asyncio.create_task(ask(client, fleet, 1))
            assert await asyncio.to_thread(served.arrived.acquire, timeout=10)
            while not fleet.servers[0].is_resting():
                await asyncio.wait({first}, timeout=0.01)
            second = asyncio.create_task(ask(client, fleet, 3))
            await asyncio.wait({second}, timeout=0.2)
            assert len(served.headers) == 1
            await first
            await second


async def test_a_slot_that_is_no_longer_wanted_is_given_to_the_next() -> None:
    fleet = Fleet(["http://rm"], 1, httpx.AsyncClient())
    entered = asyncio.Event()

    async def wait_for_slot() -> None:
        async with fleet.slot():
            entered.set()

    async with fleet.slot():
        gone = asyncio.create_task(wait_for_slot())
        asking = asyncio.create_task(wait_for_slot())
        await asyncio.sleep(0)
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
    await asking
    assert entered.is_set()
    async with fleet.slot():
        pass
    await fleet.aclose()


async def test_an_outage_counts_once_and_ends_with_the_first_answer() -> None:
    up = False

    def answer(request: httpx.Request) -> httpx.Response:
        if not up:
            raise httpx.ConnectError("refused")
        return httpx.Response(422)

    http = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    async with httpx.AsyncClient(transport=Fleet(["http://rm"], 8, http)) as client:
        fleet = client._transport
        assert isinstance(fleet, Fleet)
        (server,) = fleet.servers
        for _ in range(5):
            with pytest.raises(httpx.ConnectError):
                await client.post("http://rm/v1/score")
        assert (server.failures, server.is_resting()) == (1, True)
        up = True
        await client.post("http://rm/v1/score")
        assert (server.failures, server.is_resting()) == (0, False)
