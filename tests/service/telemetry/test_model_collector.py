"""Metrics of the loaded models are those of the catalogue at the time of the scrape."""

from service.scoring.types import ScoringRequest, chats
from service.telemetry.model_collector import ModelCollector
from tests.service.fakes import starting
from tests.service.models.versions import Releases


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
