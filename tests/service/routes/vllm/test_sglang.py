"""SGLang's bodies on `/classify`, around a fake engine whose score is the number of tokens."""

import pytest

from tests.service.fakes import running


@pytest.mark.parametrize(
    ("body", "scores"),
    [
        ({"text": ["abc", "abcd"]}, [3.0, 4.0]),
        ({"text": ["abc"], "model": "fake-rm", "rid": "7", "priority": 1}, [3.0]),
        ({"input_ids": [[97], [97, 98]], "image_data": None}, [1.0, 2.0]),
    ],
)
async def test_a_list_is_answered_with_a_list(body: dict[str, object], scores: list[float]) -> None:
    async with running() as app:
        answer = await app.client.post("/classify", json=body)
    request_id = answer.headers["x-request-id"]
    assert answer.json() == [
        {
            "embedding": [score],
            "meta_info": {"id": request_id, "prompt_tokens": int(score), "finish_reason": None},
        }
        for score in scores
    ]


@pytest.mark.parametrize("body", [{"text": "abc"}, {"input_ids": [97, 98, 99]}])
async def test_one_item_is_answered_alone(body: dict[str, object]) -> None:
    async with running() as app:
        answer = await app.client.post("/classify", json=body)
    assert answer.json()["embedding"] == [3.0]


async def test_an_item_without_a_score_is_named() -> None:
    async with running() as app:
        answer = await app.client.post("/classify", json={"text": ["abc", ""]})
    assert answer.status_code == 422
    assert answer.json()["error"]["message"].startswith("item 1 (empty)")
