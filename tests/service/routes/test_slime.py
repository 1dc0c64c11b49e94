"""slime's `POST /slime`, around a fake engine whose score is the number of tokens."""

import pytest

from tests.service.fakes import MAX_TOKENS, running

SECRET = "my secret text"
TURN = {"role": "user", "content": "abc", "name": "somebody"}


@pytest.mark.parametrize(
    ("prompt", "query"),
    [("abc", ""), ([TURN], ""), ("abc", "?rendered=true"), ("abc", "?rendered=false")],
)
@pytest.mark.parametrize("label", ["42", None, {"answer": 42}])
async def test_the_body_is_the_number(prompt: object, query: str, label: object) -> None:
    body = {"prompt": prompt, "response": "de", "label": label}
    async with running() as app:
        answer = await app.client.post(f"/slime{query}", json=body)
    assert (answer.status_code, answer.content) == (200, b"5.0")
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["server-timing"].startswith("admit;dur=")


@pytest.mark.parametrize(
    ("body", "query", "named"),
    [
        ({"prompt": SECRET}, "", "response"),
        ({"prompt": 1, "response": SECRET}, "", "prompt"),
        ({"prompt": [], "response": SECRET}, "", "prompt"),
        ({"prompt": [TURN | {"role": "assistant"}], "response": SECRET}, "", "the body"),
        ({"prompt": [TURN], "response": SECRET}, "?rendered=true", "prompt"),
        ({"prompt": SECRET, "response": SECRET}, "?rendered=perhaps", "rendered"),
        ({"prompt": SECRET, "response": ""}, "", "item 0 (empty)"),
        ({"prompt": SECRET, "response": "x" * MAX_TOKENS}, "", "item 0 (too_long)"),
    ],
)
async def test_errors_have_a_detail(body: dict[str, object], query: str, named: str) -> None:
    async with running() as app:
        answer = await app.client.post(f"/slime{query}", json=body)
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith(named)
    assert SECRET not in answer.text
