"""Several models combined over HTTP: weights apply to normalized scores, and errors are kept."""

from dataclasses import replace

import pytest

from reward_model.packing import Sequence
from service.scoring.ensemble import WeightedResult, weighted_sum
from service.scoring.model import Model
from service.scoring.types import ItemScore, ScoringResult, Timings, rank
from service.settings import Settings
from tests.service.fakes import CALIBRATION, MAX_TOKENS, Running, starting
from tests.service.models.versions import Releases, VersionEngine


async def ask(app: Running, **more: object) -> dict[str, object]:
    answer = await app.score("prompt", "a", "x" * MAX_TOKENS, "bb", **more)
    assert answer.status_code == 200, answer.text
    body: dict[str, object] = answer.json()
    return body


async def test_a_weighted_sum_with_each_part() -> None:
    async with starting(Releases(), model="1", also_serve="other-2") as app:
        await app.service.started()
        body = await ask(app, models={"fake-rm": 2, "other@2": -0.5})
    scores = body["results"][0]["scores"]  # type: ignore[index] # JSON
    mine, theirs = CALIBRATION.apply(1007.0), CALIBRATION.apply(2007.0)
    assert scores[0]["score"] == scores[0]["normalized"] == pytest.approx(2 * mine - 0.5 * theirs)
    assert scores[0]["parts"] == {
        "fake-rm@1": {"weight": 2.0, "score": 1007.0, "normalized": mine},
        "other@2": {"weight": -0.5, "score": 2007.0, "normalized": theirs},
    }
    assert scores[1]["error"]["code"] == "too_long"
    assert scores[1]["parts"]["other@2"]["score"] is None
    assert (body["model"], body["version"]) == ("fake-rm+other", "1+2")
    assert body["score_type"] == "weighted_normalized"
    assert body["results"][0]["best"] == 2  # type: ignore[index] # JSON


@pytest.mark.parametrize(
    ("models", "status", "param"),
    [
        ({"fake-rm": 1.0, "none": 1.0}, 404, "model"),
        ({"fake-rm": 1.0, "fake-rm@1": 1.0}, 422, "models"),
        ({"fake-rm": 1.0, "fake-rm@1": 1.0, "none": 1.0}, 404, "model"),
        ({"bare": 1.0}, 422, "models"),
        ({}, 422, "models"),
    ],
)
async def test_models_that_cannot_be_combined_are_refused(
    models: dict[str, float], status: int, param: str
) -> None:
    releases = Releases()

    def opener(settings: Settings) -> Model:
        model = releases(settings)
        bare = replace(model.release, calibration=None)
        return replace(model, release=bare) if model.name == "bare" else model

    async with starting(opener, model="1", also_serve="bare-1") as app:
        await app.service.started()
        answer = await app.score("prompt", "a", models=models)
        both = await app.score("prompt", "a", model="fake-rm", models={"fake-rm": 1.0})
    assert (answer.status_code, answer.json()["error"]["param"]) == (status, param)
    assert both.status_code == 422


async def test_a_part_that_fails_fails_the_sum_and_names_the_reason() -> None:
    class Broken(VersionEngine):
        def score(self, batch: list[Sequence]) -> list[list[float]]:
            if batch:
                raise RuntimeError
            return []

    releases = Releases()

    def opener(settings: Settings) -> Model:
        model = releases(settings)
        return replace(model, engine=Broken(2)) if model.name == "other" else model

    async with starting(opener, model="1", also_serve="other-2") as app:
        await app.service.started()
        body = await ask(app, models={"fake-rm": 1.0, "other": 1.0})
    first = body["results"][0]["scores"][0]  # type: ignore[index] # JSON
    assert (first["score"], first["error"]["code"]) == (None, "engine_error")
    assert first["parts"]["fake-rm@1"]["score"] == 1007.0


async def test_a_sum_that_is_no_number_is_that_candidate_s_error_and_is_not_ranked() -> None:
    releases = Releases()

    def opener(settings: Settings) -> Model:
        model = releases(settings)
        # Almost any score of this one is far beyond all numbers, in standard deviations.
        tiny = CALIBRATION.model_copy(update={"mean": 2007.0, "std": 1e-308})
        release = replace(model.release, calibration=tiny)
        return replace(model, release=release) if model.name == "other" else model

    async with starting(opener, model="1", also_serve="other-2") as app:
        await app.service.started()
        summed = await app.score("prompt", "bbbb", "a", models={"fake-rm": 1.0, "other": 1})
        alone = await app.score("prompt", "bbbb", "a", model="other")
    for answer in (summed, alone):
        (result,) = answer.json()["results"]
        assert result["scores"][0]["error"]["code"] == "non_finite"
        assert result["scores"][1]["error"] is None
        assert (result["ranking"], result["best"]) == ([1], 1)


def test_an_overflow_of_the_sum_itself_is_that_item_s_error() -> None:
    item = ItemScore(3, raw=1e308, normalized=1e308)
    part = ScoringResult("rm", "1", ((item, ItemScore(3, 1.0, 1.0)),), 3, 0, Timings(*[0] * 6))
    other = replace(part, model="other")
    total = weighted_sum([WeightedResult(1e3, part), WeightedResult(-1e3, other)])
    overflowed, finite = total.items()
    assert overflowed.error
    assert overflowed.error.code == "non_finite"
    assert (overflowed.raw, finite.raw, rank(total.inputs[0])) == (None, 0.0, [1])


@pytest.mark.parametrize("weight", [1.7e308, -1.7e308, 1e6 + 1])
async def test_weights_are_bounded(weight: float) -> None:
    async with starting(Releases(), model="1") as app:
        await app.service.started()
        answer = await app.score("prompt", "a", models={"fake-rm": weight})
    assert answer.status_code == 422
    assert "less than or equal to 1000000" in answer.text or "-1000000" in answer.text


async def test_a_sum_counts_as_cached_when_all_its_parts_are() -> None:
    async with starting(Releases(), model="1", also_serve="other-2") as app:
        await app.service.started()
        await app.score("prompt", "a")
        hits = []
        for _ in range(2):
            await app.score("prompt", "a", models={"fake-rm": 1.0, "other": 1.0})
            metrics = (await app.client.get("/metrics")).text
            hits.append("reward_cache_hits_total 1.0" in metrics)
    assert hits == [False, True]


async def test_when_one_part_is_refused_no_other_goes_on() -> None:
    """Otherwise its work would be done for nobody, and again for the client's next try."""
    releases = Releases()
    async with starting(releases, model="1", also_serve="other-2", max_queue_items=3) as app:
        await app.service.started()
        answer = await app.score("prompt", "a", "b", "c", models={"fake-rm": 1.0, "other": 1.0})
        metrics = (await app.client.get("/metrics")).text
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "queue_full"
    assert 'reward_queue_items{priority="interactive"} 0.0' in metrics
    assert 'reward_errors_total{code="queue_full"} 1.0' in metrics
