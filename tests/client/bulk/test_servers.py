"""What is found out about servers before anything is scored."""

import httpx
import pytest

from codepmp_client import BadAnswer, Refused, RewardError, Unavailable, VersionChanged
from codepmp_client.bulk import servers
from codepmp_client.bulk.servers import Model, check_servers

ONE = httpx.Response(200, json={"data": [{"id": "m", "version": "1"}]})
TWO = httpx.Response(200, json={"data": [{"id": "m", "version": "2"}]})
OTHER = httpx.Response(200, json={"data": [{"id": "m"}]})
STARTING = httpx.Response(503)


async def check(*answers: list[httpx.Response], notes: list[str] | None = None) -> list[Model]:
    """Each server gives its answers one after the other, and cannot be reached without any."""

    def answer(request: httpx.Request) -> httpx.Response:
        coming = answers[int(request.url.host)]
        if not coming:
            raise httpx.ConnectError("refused")
        return coming.pop(0)

    urls = [f"http://{number}" for number in range(len(answers))]
    told = [] if notes is None else notes
    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
        return await check_servers(urls, http, told.append, patience=10)


async def test_servers_that_serve_the_same_are_all_used() -> None:
    assert await check([ONE], [ONE]) == [("m", "1")]


async def test_one_that_is_not_there_is_told() -> None:
    notes: list[str] = []
    assert await check([], [ONE], notes=notes) == [("m", "1")]
    assert notes == ["http://0 cannot be reached; it is tried again from time to time"]


async def test_one_that_starts_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "_PAUSE", 0.0)
    notes: list[str] = []
    assert await check([STARTING, STARTING, ONE], notes=notes) == [("m", "1")]
    assert notes == ["waiting until http://0 is ready"]


async def test_a_proxy_that_lists_no_models_is_no_hindrance() -> None:
    assert await check([httpx.Response(404)]) == []


@pytest.mark.parametrize(
    ("answers", "error", "says"),
    [
        ([[], []], Unavailable, "http://0 or http://1"),
        ([[ONE], [TWO]], VersionChanged, "m 1, and http://1 m 2"),
        ([[httpx.Response(401)]], Refused, "--api-key-file"),
        ([[OTHER]], BadAnswer, "is it a reward-model server"),
    ],
)
async def test_what_cannot_work_is_told_in_a_sentence(
    answers: list[list[httpx.Response]], error: type[RewardError], says: str
) -> None:
    with pytest.raises(error, match=says):
        await check(*answers)
