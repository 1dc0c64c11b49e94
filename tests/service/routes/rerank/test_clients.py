"""The real clients of rerankers and of Triton against a real server process."""

import asyncio
from collections.abc import AsyncIterator

import cohere
import httpx
import numpy as np
import pytest
import pytest_asyncio
from cohere.core.request_options import RequestOptions
from tritonclient import http as triton
from tritonclient.utils import InferenceServerException

from tests.releases import make_release
from tests.service.test_process import Process, started

PROMPT = "Write a function that adds two numbers."
ANSWERS = ["def add(a, b): return a + b", "return a - b", "x"]

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Process]:
    """One for all: nothing that a test asks changes it."""
    folder = tmp_path_factory.mktemp("service")
    model = make_release(folder / "model")
    async with started(folder, "service", "--model", str(model), "--device", "cpu") as process:
        await process.ready()
        yield process


async def native(service: Process) -> tuple[list[float], list[int]]:
    """Raw scores, and the order they make."""
    body = {"inputs": [{"prompt": PROMPT, "candidates": ANSWERS}]}
    async with service.client() as client:
        (result,) = (await client.post("/v1/score", json=body)).json()["results"]
    return [one["score"] for one in result["scores"]], result["ranking"]


async def test_cohere_s_sdk_reranks(service: Process) -> None:
    raw, ranking = await native(service)
    with httpx.Client(trust_env=False) as transport:
        v1 = cohere.Client("key", base_url=service.url, httpx_client=transport)
        v2 = cohere.ClientV2("key", base_url=service.url, httpx_client=transport)
        old = await asyncio.to_thread(
            v1.rerank,
            model="test-rm",
            query=PROMPT,
            documents=[ANSWERS[0], {"text": ANSWERS[1]}, ANSWERS[2]],
            return_documents=True,
        )
        new = await asyncio.to_thread(
            v2.rerank, model="test-rm", query=PROMPT, documents=ANSWERS, top_n=2
        )
        options = RequestOptions(additional_body_parameters={"raw_scores": True})
        exact = await asyncio.to_thread(
            v2.rerank,
            model="test-rm",
            query=PROMPT,
            documents=ANSWERS,
            request_options=options,
        )
        with pytest.raises(cohere.NotFoundError) as unknown:
            await asyncio.to_thread(v2.rerank, model="rerank-v3.5", query=PROMPT, documents=ANSWERS)
    assert [one.index for one in old.results] == ranking
    assert [one.document and one.document.text for one in old.results] == [
        ANSWERS[index] for index in ranking
    ]
    assert [one.index for one in new.results] == ranking[:2]
    assert all(0 < one.relevance_score < 1 for one in new.results)
    assert new.meta
    assert new.meta.api_version
    assert new.meta.api_version.version == "2"
    assert [one.relevance_score for one in exact.results] == [raw[index] for index in ranking]
    assert "served here are test-rm" in unknown.value.body["message"]


def tensor(name: str, texts: list[str], *, binary: bool) -> triton.InferInput:
    array = np.array(texts, dtype=object).reshape(-1, 1)
    made = triton.InferInput(name, list(array.shape), "BYTES")
    made.set_data_from_numpy(array, binary_data=binary)
    return made


@pytest.mark.parametrize("binary", [False, True])
async def test_triton_s_client_scores(service: Process, binary: bool) -> None:
    raw, _ = await native(service)

    def ask() -> tuple[list[float], list[float], dict[str, object]]:
        client = triton.InferenceServerClient(service.url.removeprefix("http://"))
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready("test-rm")
        assert client.get_server_metadata()["name"] == "codepmp"
        assert client.get_model_config("test-rm")["max_batch_size"] > 0
        assert client.get_model_repository_index()[0]["state"] == "READY"
        inputs = [
            tensor("prompt", [PROMPT] * len(ANSWERS), binary=binary),
            tensor("response", ANSWERS, binary=binary),
        ]
        outputs = [triton.InferRequestedOutput("rewards", binary_data=binary)]
        asked = client.infer("test-rm", inputs, outputs=outputs, request_id="7")
        # No outputs named: Triton's client then asks for all of them in binary.
        unasked = client.infer("test-rm", inputs, model_version="1")
        metadata = client.get_model_metadata("test-rm")
        client.close()
        assert asked.get_response()["id"] == "7"
        return (
            list(asked.as_numpy("rewards")[:, 0]),
            list(unasked.as_numpy("rewards")[:, 0]),
            metadata,
        )

    asked, unasked, metadata = await asyncio.to_thread(ask)
    assert asked == unasked == raw
    assert metadata["versions"] == ["1"]


async def test_triton_s_client_reads_our_errors(service: Process) -> None:
    def ask() -> None:
        client = triton.InferenceServerClient(service.url.removeprefix("http://"))
        client.infer("test-rm", [tensor("sentences", [""], binary=False)])

    with pytest.raises(InferenceServerException, match=r"item 0 \(empty\)"):
        await asyncio.to_thread(ask)
