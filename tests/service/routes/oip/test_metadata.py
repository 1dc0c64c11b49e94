"""What the Open Inference Protocol and Triton's extensions tell about a server."""

import threading
from hashlib import sha256
from pathlib import Path

import pytest

from service.scoring.model import Model
from service.settings import Settings
from tests.service.fakes import model, running, starting


async def test_metadata() -> None:
    async with running(max_candidates=10) as app:
        server = (await app.client.get("/v2")).json()
        model = (await app.client.get("/v2/models/fake-rm")).json()
        config = (await app.client.get("/v2/models/fake-rm/config")).json()
        index = (await app.client.post("/v2/repository/index")).json()
    assert server["name"] == "codepmp"
    assert "binary_tensor_data" in server["extensions"]
    assert model == {
        "name": "fake-rm",
        "versions": ["1.2"],
        "platform": "codepmp",
        "inputs": [
            {"name": name, "datatype": "BYTES", "shape": [-1, 1]}
            for name in ("prompt", "response", "sentences")
        ],
        "outputs": [{"name": "rewards", "datatype": "FP32", "shape": [-1, 1]}],
    }
    assert config["max_batch_size"] == 10
    assert [one["data_type"] for one in config["input"]] == ["TYPE_STRING"] * 3
    assert config["output"][0] == {
        "name": "rewards", "data_type": "TYPE_FP32", "dims": [1], "optional": False,
    }  # fmt: skip
    assert index == [{"name": "fake-rm", "version": "1", "state": "READY", "reason": ""}]


async def test_health() -> None:
    paths = ["/v2/health/live", "/v2/health/ready", "/v2/models/fake-rm/ready"]
    async with running() as app:
        well = [await app.client.get(path) for path in paths]
        app.service.begin_drain()
        draining = [await app.client.get(path) for path in paths]
    assert [answer.status_code for answer in well] == [200] * 3
    assert [answer.json() for answer in well] == [
        {"live": True}, {"ready": True}, {"name": "fake-rm", "ready": True},
    ]  # fmt: skip
    assert [answer.status_code for answer in draining] == [200, 503, 503]
    assert draining[2].json() == {"name": "fake-rm", "ready": False}


@pytest.mark.parametrize("path", ["/v2/models/x/ready", "/v2/models/fake-rm/versions/9/ready"])
async def test_a_probe_of_an_unknown_model_names_no_other(path: str, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text(f"team sha256:{sha256(b'key').hexdigest()}\n")
    async with running(api_keys_file=keys) as app:
        probe = await app.client.get(path)
        asked = await app.client.get("/v2/models/x", headers={"X-API-Key": "key"})
    assert (probe.status_code, asked.status_code) == (404, 404)
    assert "fake-rm" not in probe.text
    assert "fake-rm@1.2" in asked.json()["error"], "who has a key is told what there is"


async def test_a_model_that_is_loading_is_live_and_not_ready() -> None:
    def loads_for_ever(_: Settings) -> Model:
        assert may_end.wait(20)
        return model()

    may_end = threading.Event()
    async with starting(loads_for_ever) as app:
        paths = ["/v2/health/live", "/v2/health/ready", "/v2/models/fake-rm/ready"]
        answers = [await app.client.get(path) for path in paths]
        may_end.set()
    assert [answer.status_code for answer in answers] == [200, 503, 503]
    assert answers[2].json().keys() == {"error"}


async def test_what_is_documented_are_the_protocol_s_paths() -> None:
    async with running() as app:
        documented = (await app.client.get("/openapi.json")).json()["paths"]
    assert {path for path in documented if path.startswith("/v2/models")} == {
        "/v2/models/{model}",
        "/v2/models/{model}/config",
        "/v2/models/{model}/infer",
        "/v2/models/{model}/ready",
    }
    body = documented["/v2/models/{model}/infer"]["post"]["requestBody"]
    assert "application/json" in body["content"]
