"""How much a batch holds: what is asked for, what memory has room for, what relatives need."""

from dataclasses import replace

import pytest

from reward_model.packing import new_tokens
from tests.service.fakes import FakeEngine, running

PROMPT = "prompt"
CANDIDATES = [letter * 4 for letter in "abcdefgh"]
WHOLE = len(PROMPT) + 4 * len(CANDIDATES)


async def batches(
    *, enough: int = 20, most: int | None = None, asked: int | None = None
) -> list[int]:
    """New tokens of the batches in which one prompt's candidates were computed."""
    engine = FakeEngine()
    engine.batching = replace(engine.batching, full_speed_tokens=enough, memory_limit_tokens=most)
    async with running(engine, max_batch_tokens=asked) as app:
        answer = await app.score(PROMPT, *CANDIDATES)
    assert answer.status_code == 200
    return [sum(new_tokens(batch)) for batch in engine.batches]


async def test_a_batch_grows_for_relatives_up_to_twice_what_is_enough() -> None:
    assert await batches(enough=WHOLE // 2) == [WHOLE]
    assert max(await batches(enough=WHOLE // 2 - 1)) < WHOLE


async def test_what_was_asked_for_is_never_exceeded() -> None:
    assert max(await batches(asked=WHOLE - 1)) < WHOLE
    assert await batches(asked=WHOLE) == [WHOLE]


@pytest.mark.parametrize("asked", [None, WHOLE])
async def test_no_batch_holds_more_than_fits_into_memory(
    asked: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    assert max(await batches(most=WHOLE - 1, asked=asked)) < WHOLE
    assert ("memory has no room" in caplog.text) == bool(asked)
