"""One path, two dialects: whose a body is, and what is left when one of the two is not served."""

from tests.service.fakes import running

NATIVE = {"inputs": [{"prompt": "q", "candidates": ["d"]}]}
PAIRS = {"queries": "q", "documents": "d"}


async def test_each_body_is_answered_in_its_own_dialect() -> None:
    async with running() as app:
        native = await app.client.post("/v1/score", json=NATIVE)
        pairs = await app.client.post("/v1/score", json=PAIRS)
        paths = (await app.client.get("/openapi.json")).json()["paths"]
    assert native.json()["results"][0]["scores"][0]["score"] == 2.0
    assert pairs.json()["data"][0]["score"] == 2.0
    assert all("server-timing" in answer.headers for answer in (native, pairs))
    asked = paths["/v1/score"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert asked == {"$ref": "#/components/schemas/ScoreRequest"}, "pairs are described at /score"


async def test_native_alone_refuses_pairs() -> None:
    async with running(dialects="native") as app:
        answer = await app.client.post("/v1/score", json=PAIRS)
        absent = await app.client.post("/score", json=PAIRS)
    assert answer.status_code == 422
    assert answer.json()["error"]["code"] == "invalid_request"
    assert absent.status_code == 404


async def test_vllm_alone_refuses_native_bodies_in_its_own_shape() -> None:
    async with running(dialects="vllm") as app:
        answer = await app.client.post("/v1/score", json=NATIVE)
        pairs = await app.client.post("/v1/score", json=PAIRS)
    assert answer.json()["error"]["code"] == answer.status_code == 422
    assert pairs.json()["data"][0]["score"] == 2.0
