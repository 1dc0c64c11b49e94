"""Work that goes on while the client is connected, and errors of single items."""

import asyncio

import pytest
from starlette.requests import Request
from starlette.types import Message

from service.errors import ClientGone, ItemError, ItemErrorCode, ItemFailed, ItemRefused
from service.routes.shared.scoring import raw_scores, while_connected
from service.scoring.types import ItemScore, ScoringResult, Timings


class Client:
    """A request whose client leaves when the test says so."""

    def __init__(self) -> None:
        self.gone = asyncio.Event()
        self.request = Request({"type": "http"}, self.receive)

    async def receive(self) -> Message:
        await self.gone.wait()
        return {"type": "http.disconnect"}


async def doubled(number: int) -> int:
    await asyncio.sleep(0)
    return 2 * number


async def test_all_work_is_awaited_in_order() -> None:
    assert await while_connected(Client().request, doubled(1), doubled(2)) == [2, 4]


async def test_work_is_cancelled_when_the_client_leaves() -> None:
    client, cancelled = Client(), asyncio.Event()

    async def endless() -> int:
        try:
            client.gone.set()
            return await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    with pytest.raises(ClientGone):
        await while_connected(client.request, endless())
    assert cancelled.is_set()


async def test_one_failure_cancels_the_rest_and_is_raised_itself() -> None:
    cancelled = asyncio.Event()

    async def endless() -> int:
        try:
            return await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    async def failing() -> int:
        await asyncio.sleep(0)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await while_connected(Client().request, endless(), failing())
    assert cancelled.is_set()


def result(*items: ItemScore) -> ScoringResult:
    return ScoringResult("rm", "1", (items,), 0, 0, Timings(0, 0, 0, 0, 0, 0))


def test_raw_scores_of_items_that_all_have_one() -> None:
    assert raw_scores(result(ItemScore(3, raw=1.5), ItemScore(3, raw=-2.0))) == [1.5, -2.0]


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("empty", ItemRefused),
        ("too_long", ItemRefused),
        ("unencodable", ItemRefused),
        ("engine_error", ItemFailed),
        ("non_finite", ItemFailed),
        ("out_of_memory", ItemFailed),
    ],
)
def test_the_first_item_without_a_score_fails_the_request(
    code: ItemErrorCode, kind: type[Exception]
) -> None:
    bad = ItemScore(0, error=ItemError(code, "no score"))
    with pytest.raises(kind, match=rf"item 1 \({code}\): no score"):
        raw_scores(result(ItemScore(3, raw=1.5), bad, bad))
