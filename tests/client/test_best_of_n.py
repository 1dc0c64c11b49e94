import asyncio

import pytest

from codepmp_client import AsyncRewardClient, NoScore, RewardClient, best_of_n, best_of_n_async
from tests.client.servers import service
from tests.service.fakes import MAX_TOKENS

CANDIDATES = ["short", "x" * MAX_TOKENS, "the longest", "as long, too"[:11]]


async def test_the_first_of_the_best_wins_and_what_has_no_score_takes_no_part() -> None:
    with service() as (url, _):
        async with AsyncRewardClient(url) as client:
            one = await best_of_n_async(client, "p", CANDIDATES)
        with RewardClient(url) as client_:
            two = await asyncio.to_thread(best_of_n, client_, "p", CANDIDATES)
    assert one == two
    assert (one.candidate, one.index) == ("the longest", 2)
    assert one.result.ranking == (2, 3, 0)


async def test_nothing_is_best_of_nothing() -> None:
    with service() as (url, _):
        async with AsyncRewardClient(url) as client:
            with pytest.raises(NoScore, match="no candidate has a score") as failure:
                await best_of_n_async(client, "p", [""])
    assert failure.value.code == "empty"
