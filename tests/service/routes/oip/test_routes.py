"""The Open Inference Protocol as it is documented, in JSON and in Triton's binary form."""

import json
import struct
from dataclasses import replace

import httpx
import pytest

from tests.service.fakes import (
    MAX_TOKENS,
    FakeEngine,
    GatedEngine,
    Running,
    model,
    running,
    starting,
)

SECRET = "my secret text"
INFER = "/v2/models/fake-rm/infer"


def tensor(name: str, *texts: str, **changes: object) -> dict[str, object]:
    shape = [len(texts)]
    return {"name": name, "shape": shape, "datatype": "BYTES", "data": list(texts)} | changes


def binary(name: str, *texts: str) -> tuple[dict[str, object], bytes]:
    packed = b"".join(struct.pack("<I", len(text.encode())) + text.encode() for text in texts)
    parameters = {"binary_data_size": len(packed)}
    shape = [len(texts)]
    return {"name": name, "shape": shape, "datatype": "BYTES", "parameters": parameters}, packed


PAIR = [tensor("prompt", "p", "p"), tensor("response", "abc", "d")]


async def post_binary(
    app: Running, body: object, tail: bytes, length: str | None = None
) -> httpx.Response:
    head = json.dumps(body).encode()
    headers = {
        "Content-Type": "application/octet-stream",
        "Inference-Header-Content-Length": length or str(len(head)),
    }
    return await app.client.post(INFER, content=head + tail, headers=headers)


async def test_the_whole_answer() -> None:
    async with running() as app:
        answer = await app.client.post(INFER, json={"id": "7", "inputs": PAIR})
        metrics = (await app.client.get("/metrics")).text
    assert answer.status_code == 200
    assert answer.json() == {
        "model_name": "fake-rm",
        "model_version": "1.2",
        "id": "7",
        "outputs": [{"name": "rewards", "shape": [2], "datatype": "FP32", "data": [4.0, 2.0]}],
    }
    assert "total;dur=" in answer.headers["server-timing"]
    assert 'route="/v2/models/{model:path}/infer"' in metrics, "no name that a client chose"


@pytest.mark.parametrize("version", ["1.2", "1"])
async def test_versions_may_be_named(version: str) -> None:
    path = f"/v2/models/fake-rm/versions/{version}"
    async with running() as app:
        scored = await app.client.post(f"{path}/infer", json={"inputs": PAIR})
        others = [await app.client.get(path + part) for part in ("", "/ready", "/config")]
        wrong = await app.client.get("/v2/models/fake-rm/versions/9/ready")
    assert scored.json()["outputs"][0]["data"] == [4.0, 2.0]
    assert [one.status_code for one in others] == [200] * 3
    assert (wrong.status_code, wrong.json().keys()) == (404, {"error"})


async def test_a_model_s_name_may_have_slashes() -> None:
    async with starting(lambda _: replace(model(), name="org/rm")) as app:
        await app.service.started()
        right = [
            await app.client.post("/v2/models/org/rm/infer", json={"inputs": PAIR}),
            await app.client.get("/v2/models/org/rm/versions/1/ready"),
            await app.client.get("/v2/models/org/rm"),
        ]
        wrong = await app.client.get("/v2/models/rm")
    assert [answer.status_code for answer in right] == [200] * 3
    assert wrong.status_code == 404
    assert "org/rm" in wrong.json()["error"]


async def test_prompts_that_follow_each_other_are_one_input_s() -> None:
    """Their answers share them, and admission knows."""
    inputs = [tensor("response", "a", "b", "c", "d"), tensor("prompt", "p", "p", "qq", "p")]
    engine = FakeEngine()
    async with running(engine) as app:
        answer = await app.client.post(INFER, json={"inputs": inputs})
    assert answer.json()["outputs"][0]["data"] == [2.0, 2.0, 3.0, 2.0]
    assert sorted(bytes(one.ids) for one in engine.batches[0]) == [b"pa", b"pb", b"pd", b"qqc"]


@pytest.mark.parametrize("data", [["abc", "d"], [["abc"], ["d"]]])
async def test_sentences_are_scored_as_they_are(data: list[object]) -> None:
    sentences = {"name": "sentences", "shape": [2, 1], "datatype": "BYTES", "data": data}
    async with running() as app:
        answer = await app.client.post(INFER, json={"inputs": [sentences]})
    (rewards,) = answer.json()["outputs"]
    assert rewards == {"name": "rewards", "shape": [2, 1], "datatype": "FP32", "data": [3.0, 1.0]}


async def test_tensors_may_follow_the_json_in_binary() -> None:
    prompt, prompts = binary("prompt", "p", "é")
    response, responses = binary("response", "abc", "d")
    body = {"inputs": [prompt, response], "parameters": {"binary_data_output": True}}
    async with running() as app:
        answer = await post_binary(app, body, prompts + responses)
        mixed = await post_binary(
            app, {"inputs": [tensor("prompt", "p", "p"), response]}, responses
        )
    length = int(answer.headers["inference-header-content-length"])
    (rewards,) = json.loads(answer.content[:length])["outputs"]
    assert rewards == {
        "name": "rewards",
        "shape": [2],
        "datatype": "FP32",
        "parameters": {"binary_data_size": 8},
    }
    assert struct.unpack("<2f", answer.content[length:]) == (4.0, 3.0)
    assert answer.headers["content-type"] == "application/octet-stream"
    assert mixed.json()["outputs"][0]["data"] == [4.0, 2.0]


@pytest.mark.parametrize(("wanted", "binary_answer"), [(True, True), (False, False)])
async def test_an_output_says_itself_how_it_is_wanted(wanted: bool, binary_answer: bool) -> None:
    outputs = [{"name": "rewards", "parameters": {"binary_data": wanted}}]
    async with running() as app:
        answer = await app.client.post(INFER, json={"inputs": PAIR, "outputs": outputs})
    assert ("inference-header-content-length" in answer.headers) == binary_answer


@pytest.mark.parametrize(
    ("tail", "length", "reason"),
    [
        (b"\x01\0\0\0", None, "each after its length"),
        (b"\x01\0", None, "each after its length"),
        (b"\x01\0\0\0aX", None, "binary_data_size"),
        (b"\x01\0\0\0a", "999999", "number of bytes"),
        (b"\x01\0\0\0a", "-1", "number of bytes"),
        (b"\x01\0\0\0a", "3", "not JSON"),
    ],
)
async def test_binary_data_that_is_not_what_was_announced(
    tail: bytes, length: str | None, reason: str
) -> None:
    size = min(len(tail), 5)
    sentences, _ = binary("sentences", "a")
    sentences |= {"parameters": {"binary_data_size": size}}
    async with running() as app:
        answer = await post_binary(app, {"inputs": [sentences]}, tail, length)
        unharmed = await app.client.post(INFER, json={"inputs": PAIR})
    assert answer.status_code == 400
    assert reason in answer.json()["error"]
    assert unharmed.status_code == 200


async def test_bytes_that_are_no_utf8_are_their_own_element_s_error() -> None:
    sentences, _ = binary("sentences", "a", "b")
    sentences |= {"parameters": {"binary_data_size": 10}}
    async with running() as app:
        answer = await post_binary(app, {"inputs": [sentences]}, b"\x01\0\0\0a" + b"\x01\0\0\0\xff")
    assert answer.status_code == 422
    assert answer.json()["error"].startswith("item 1 (unencodable)")


async def test_a_time_limit_in_microseconds() -> None:
    engine = GatedEngine()
    async with running(engine) as app:
        late = await app.client.post(
            INFER, json={"inputs": PAIR, "parameters": {"timeout": 1, "priority": 1}}
        )
        engine.go_on.release(2)
        unlimited = await app.client.post(
            INFER, json={"inputs": PAIR, "parameters": {"timeout": 0}}
        )
    assert (late.status_code, unlimited.status_code) == (504, 200)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (
            {"inputs": PAIR, "outputs": [{"name": "rewards", "parameters": {"classification": 2}}]},
            "outputs[0].parameters.classification must be left out",
        ),
        (
            {"inputs": [tensor("sentences", "a", parameters={"shared_memory_region": SECRET})]},
            "inputs[0].parameters.shared_memory_region must be left out",
        ),
        ({"inputs": PAIR, "parameters": {"timeout": 10**400}}, "parameters.timeout should be less"),
        ([], "the body must be a JSON object"),
        ({}, "inputs"),
        ({"inputs": []}, "inputs"),
        ({"inputs": [PAIR[0]]}, "the body needs the inputs"),
        ({"inputs": [*PAIR, tensor("sentences", "a", "b")]}, "the body needs the inputs"),
        ({"inputs": [PAIR[0], PAIR[0]]}, "the body needs the inputs"),
        ({"inputs": [tensor(SECRET, "a")]}, "inputs[0].name"),
        ({"inputs": [tensor("sentences", "a", datatype="FP32")]}, "inputs[0].datatype"),
        ({"inputs": [tensor("sentences", "a", shape=[2])]}, "inputs[0] has 1 elements"),
        ({"inputs": [tensor("sentences", "a", "b", shape=[1, 2])]}, "inputs[0] must have the"),
        ({"inputs": [tensor("sentences", "a", shape=[-1])]}, "inputs[0].shape[0]"),
        ({"inputs": [tensor("sentences", "a", shape=[])]}, "inputs[0].shape"),
        ({"inputs": [tensor("sentences", "a", shape=[1, 1, 1])]}, "inputs[0].shape"),
        ({"inputs": [tensor("sentences", "a", data=[1])]}, "inputs[0].data[0]"),
        ({"inputs": [tensor("sentences", "a", data=[[SECRET, "b"]])]}, "inputs[0].data[0]"),
        ({"inputs": [tensor("sentences", "a", data=None)]}, "inputs[0].data"),
        ({"inputs": [tensor("prompt", "a"), tensor("response", "a", "b")]}, "the body must have"),
        ({"inputs": PAIR, "outputs": [{"name": SECRET}]}, "outputs[0].name"),
        ({"inputs": [tensor("sentences", *["a"] * 11)]}, "inputs has 11"),
        ({"inputs": [tensor("sentences", "a", "")]}, "item 1 (empty)"),
        ({"inputs": [tensor("sentences", "x" * (MAX_TOKENS + 1))]}, "item 0 (too_long)"),
    ],
)
async def test_a_wrong_request_is_told_what_in_the_protocol_s_shape(
    body: object, field: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    async with running(max_candidates=10) as app:
        answer = await app.client.post(INFER, json=body)
    assert answer.status_code == 422
    assert answer.json().keys() == {"error"}
    assert answer.json()["error"].startswith(field)
    assert SECRET not in answer.text + caplog.text
