"""`POST /v1/embeddings`: with OpenAI's own client, and what verl reads."""

from pathlib import Path

import pytest
from openai import AsyncOpenAI, DefaultAsyncHttpxClient, NotFoundError, UnprocessableEntityError

from tests.checkpoints import make_checkpoint
from tests.service.fakes import running
from tests.service.test_process import score, started


async def test_the_whole_answer() -> None:
    async with running() as app:
        answer = await app.client.post("/v1/embeddings", json={"model": "fake-rm", "input": "abc"})
    embedded = answer.json()
    assert (embedded["object"], embedded["model"]) == ("list", "fake-rm")
    assert embedded["data"] == [{"index": 0, "object": "embedding", "embedding": [3.0]}]
    assert embedded["usage"]["prompt_tokens"] == embedded["usage"]["total_tokens"] == 3


async def test_errors_have_openai_s_shape() -> None:
    async with running() as app:
        answer = await app.client.post("/v1/embeddings", json={"input": 7})
    assert answer.status_code == 422
    assert answer.json()["error"] == {
        "message": "input should be a valid string",
        "type": "invalid_request_error",
        "param": "input",
        "code": "invalid_request",
    }


async def test_openai_s_own_client(tmp_path: Path) -> None:
    model = make_checkpoint(tmp_path / "model")
    flags = ("--model", str(model), "--model-name", "rm", "--device", "cpu")
    async with started(tmp_path, "service", *flags) as service:
        await service.ready()
        async with (
            service.client() as plain,
            AsyncOpenAI(
                base_url=f"{service.url}/v1",
                api_key="any",
                http_client=DefaultAsyncHttpxClient(trust_env=False),
            ) as client,
        ):
            (row,) = (await score(plain, "def f(): pass")).json()["results"][0]["scores"]
            turns = "<|user|>\nprompt<|end|>\n<|assistant|>\ndef f(): pass<|end|>\n"
            packed = await client.embeddings.create(model="rm", input=[turns, "other"])
            listed = await client.embeddings.create(
                model="rm", input=turns, encoding_format="float"
            )
            with pytest.raises(NotFoundError, match="served here are rm"):
                await client.embeddings.create(model="gpt-2", input="x")
            with pytest.raises(UnprocessableEntityError, match="too_long"):
                await client.embeddings.create(model="rm", input="x y " * 1000)
            served = [model.id async for model in client.models.list()]
    assert packed.data[0].embedding == listed.data[0].embedding == [row["score"]]
    assert packed.data[1].embedding != packed.data[0].embedding
    assert served == ["rm"]
