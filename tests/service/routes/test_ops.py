import threading
from dataclasses import replace

from prometheus_client.parser import text_string_to_metric_families

from service.scoring.model import Model
from service.settings import Settings
from tests.service.fakes import CALIBRATION, MAX_TOKENS, FakeEngine, model, running, starting


async def test_a_ready_service() -> None:
    async with running() as app:
        alive = await app.client.get("/healthz")
        ready = await app.client.get("/readyz")
    assert (alive.status_code, alive.json()) == (200, {"status": "alive"})
    assert (ready.status_code, ready.json()) == (200, {"ready": True, "reason": None})


async def test_probes_may_ask_for_the_head_alone() -> None:
    async with running() as app:
        answers = [await app.client.head(path) for path in ("/healthz", "/readyz")]
    assert [answer.status_code for answer in answers] == [200, 200]


async def test_a_path_with_a_slash_too_many_is_another_path() -> None:
    """A redirect would repeat whatever host the client named."""
    async with running() as app:
        answer = await app.client.post("/v1/score/", json={})
    assert answer.status_code == 404


async def test_alive_but_not_ready_while_the_model_loads() -> None:
    go_on = threading.Event()

    def slow(_: Settings) -> Model:
        assert go_on.wait(10)
        return model()

    async with starting(slow) as app:
        alive = await app.client.get("/healthz")
        ready = await app.client.get("/readyz")
        models = await app.client.get("/v1/models")
        score = await app.score("prompt", "a")
        go_on.set()
        await app.service.started()
        later = await app.client.get("/readyz")
    assert alive.status_code == 200
    assert ready.status_code == 503
    assert "being loaded" in ready.json()["reason"]
    assert (models.status_code, score.status_code) == (503, 503)
    assert score.json()["error"]["code"] == "not_ready"
    assert int(score.headers["retry-after"]) >= 1
    assert later.status_code == 200


async def test_models_say_what_is_served() -> None:
    async with running() as app:
        answer = await app.client.get("/v1/models")
    assert answer.json() == {
        "object": "list",
        "data": [
            {
                "id": "fake-rm",
                "object": "model",
                "created": 0,
                "owned_by": "codepmp",
                "version": "1.2",
                "max_tokens": MAX_TOKENS,
                "dtype": "float32",
                "current": True,
                "shares_prefixes": True,
                "matrix_units": False,
                "engine_processes": 1,
                "score_type": "raw_logit",
                "criteria": {},
                "calibration": CALIBRATION.model_dump(),
                "warnings": ["not a real model"],
            }
        ],
    }


class FallenBack(FakeEngine):
    facts = replace(FakeEngine.facts, shares_prefixes=False, fallback_reason="some layers are odd")


async def test_metrics_are_in_prometheus_text_and_each_app_has_its_own() -> None:
    async with running(FallenBack()) as app, running() as other:
        await app.score("prompt", "a", "bb")
        await app.client.post("/v1/score", json={})
        await app.client.get("/no/such/path")
        answer = await app.client.get("/metrics")
        others = (await other.client.get("/metrics")).text
    assert answer.headers["content-type"].startswith("text/plain")
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }
    assert samples["reward_requests_total", "native", "ok", "/v1/score"] == 1
    assert samples["reward_requests_total", "native", "invalid_request", "/v1/score"] == 1
    assert samples["reward_requests_total", "none", "not_found", "unmatched"] == 1
    assert samples["reward_items_total", "ok"] == 2
    assert samples["reward_errors_total", "not_found"] == 1
    assert samples["reward_tokens_total",] == samples["reward_computed_tokens_total",] == 15
    assert samples["reward_saved_tokens_total",] == 0
    assert samples["reward_batch_sequences_count",] == 1
    assert samples["reward_queue_items", "interactive"] == 0
    assert samples["reward_ready",] == 1
    assert samples["reward_shares_prefixes", "fake-rm", "some layers are odd", "1.2"] == 0
    assert samples["reward_release_info", "float32", "fake-rm", "1.2"] == 1
    assert "reward_requests_total{" not in others


async def test_settings_defaults_serve_an_app() -> None:
    """No setting is required."""
    async with starting(lambda settings: model()) as app:
        assert app.service.settings == Settings()
