"""Metrics of the loaded models are those of the catalogue at the time of the scrape."""

import math

import pytest

from reward_model.packing import Sequence
from service.scoring.types import ScoringRequest, chats
from service.telemetry.model_collector import ModelCollector
from tests.service.fakes import FakeEngine, running, starting
from tests.service.models.versions import Releases
from tests.service.telemetry.test_metrics import samples_of, scrape


async def test_an_unloaded_version_leaves_no_series() -> None:
    async with starting(Releases(), model="1", also_serve="other-3") as app:
        await app.service.started()
        loaded = (await app.client.get("/metrics")).text
        await app.service.unload("other@3")
        unloaded = (await app.client.get("/metrics")).text
    names = ("release_info", "shares_prefixes", "batch_token_budget", "engine_tokens_per_second")
    for name in (f"reward_{name}{{" for name in names):
        lines = [line for line in loaded.splitlines() if line.startswith(name)]
        assert ["fake-rm" in line for line in lines] == [True, False]
        left = [line for line in unloaded.splitlines() if line.startswith(name)]
        assert left == lines[:1]


async def test_statistics_of_a_version_that_is_loaded_again_start_anew() -> None:
    async with starting(Releases(), model="1", also_serve="other-3") as app:
        await app.service.started()
        counts = []
        for _ in range(2):
            await app.score("prompt", "a", "b", model="other@3")
            metrics = (await app.client.get("/metrics")).text
            counts.append('reward_score_count{model="other",version="3"} 2.0' in metrics)
            await app.service.unload("other@3")
            await app.service.load("other-3", None, current=False)
        metrics = (await app.client.get("/metrics")).text
    assert counts == [True, True]
    assert 'reward_score_count{model="other",version="3"} 0.0' in metrics


async def test_scores_of_a_version_that_left_meanwhile_are_in_no_statistic() -> None:
    """A request that held it to its end is answered, and its scores are no other version's."""
    async with starting(Releases(), model="1", also_serve="other-3") as app:
        await app.service.started()
        collector = ModelCollector(app.service.catalogue)
        loaded = app.service.catalogue.find("other@3")
        scored = await loaded.scorer.score(ScoringRequest((chats((), ("abc",)),)))
        await app.service.unload("other@3")
        collector.observe(scored)
        samples = [one for family in collector.collect() for one in family.samples]
    counts = {one.labels["model"]: one.value for one in samples if one.name == "reward_score_count"}
    assert counts == {"fake-rm": 0}


async def test_facts_and_limits_of_a_loaded_model() -> None:
    async with running(max_batch_tokens=10) as app:
        samples = samples_of(await scrape(app))
    assert samples["reward_release_info", "float32", "fake-rm", "1.2"] == 1
    assert samples["reward_shares_prefixes", "fake-rm", "", "1.2"] == 1
    reason = FakeEngine.facts.plain_products_reason
    assert samples["reward_matrix_units", "fake-rm", str(reason), "1.2"] == 0
    assert samples["reward_engine_processes", "fake-rm", "1.2"] == 1
    assert samples["reward_batch_token_budget", "fake-rm", "1.2"] == 10
    assert samples["reward_engine_tokens_per_second", "fake-rm", "1.2"] == 0


async def test_scores_and_what_is_known_of_their_distribution() -> None:
    """The fake's score is the number of tokens, so they correlate; 10 is the reference's mean."""
    async with running() as app:
        await app.score("p", *("x" * (n % 20 + 1) for n in range(100)))
        early = samples_of(await scrape(app))
        await app.score("p", *("x" * (n % 20 + 1) for n in range(100)))
        samples = samples_of(await scrape(app))
    assert samples["reward_score_count", "fake-rm", "1.2"] == 200
    assert samples["reward_score_bucket", "10.0", "fake-rm", "1.2"] == 90
    assert samples["reward_score_mean", "fake-rm", "1.2"] == pytest.approx(11.5, abs=0.1)
    assert math.isnan(early["reward_score_length_correlation", "fake-rm", "1.2"])
    assert math.isnan(early["reward_score_drift_psi", "fake-rm", "normal", "1.2"])
    assert samples["reward_score_length_correlation", "fake-rm", "1.2"] == pytest.approx(1)
    assert 0.5 < samples["reward_score_drift_psi", "fake-rm", "normal", "1.2"] < 2


async def test_a_score_that_is_no_number_is_in_no_statistic() -> None:
    class NotANumber(FakeEngine):
        def score(self, batch: list[Sequence]) -> list[list[float]]:
            return [[math.nan] for _ in batch]

    async with running(NotANumber()) as app:
        await app.score("prompt", "a")
        samples = samples_of(await scrape(app))
    assert samples["reward_non_finite_scores_total",] == 1
    assert samples["reward_score_count", "fake-rm", "1.2"] == 0
    assert math.isnan(samples["reward_score_mean", "fake-rm", "1.2"])
