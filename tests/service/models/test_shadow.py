"""What a shadow would have answered is seen in the metrics, and nowhere else."""

from service.models.shadow import Differences, Shadow
from service.scoring.types import ScoringRequest, ScoringResult, Timings, chats
from tests.service.fakes import Running, starting
from tests.service.models.versions import Releases


async def counted(app: Running) -> list[str]:
    text = (await app.client.get("/metrics")).text
    return [line for line in text.splitlines() if line.startswith("reward_shadow_difference_")]


async def test_differences_are_counted_and_answers_are_not_touched() -> None:
    releases = Releases()
    async with starting(releases, model="1", also_serve="other-2") as app:
        await app.service.started()
        shadow = app.service.shadow
        unasked = (await app.score("prompt", "a", "b")).json()
        shadow.assign(app.service.catalogue.find("other"), 1.0)
        answers = [(await app.score("prompt", text, "b")).json() for text in ("a", "c")]
        await shadow.settled()
        lines = await counted(app)
        shadow.assign(None, 0.0)
        await app.score("prompt", "d")
        await shadow.settled()
        assert await counted(app) == lines
    assert answers[0]["results"] == unasked["results"]
    labels = '{answered_by="fake-rm@1",shadow="other@2"}'
    assert f"reward_shadow_difference_count{labels} 4.0" in lines
    below = '{answered_by="fake-rm@1",le="10.0",shadow="other@2"}'
    assert f"reward_shadow_difference_bucket{below} 0.0" in lines, "they are 1000 apart"


async def test_only_the_share_asked_for_is_scored() -> None:
    seen: list[Differences] = []
    draws = iter([0.05, 0.5, 0.09, 0.1])
    async with starting(Releases(), model="1", also_serve="other-2") as app:
        await app.service.started()
        shadow = Shadow(seen.append, lambda: next(draws))
        shadow.assign(app.service.catalogue.find("other"), 0.1)
        ask = ScoringRequest((chats((), ("abc",)),))
        scored = await app.service.catalogue.find(None).scorer.score(ask)
        for _ in range(4):
            shadow.maybe_score(ask, scored)
            await shadow.settled()
    assert seen == [Differences("fake-rm@1", "other@2", (1000.0,))] * 2


async def test_a_shadow_that_is_unloaded_is_ended() -> None:
    async with starting(Releases(), model="1", also_serve="other-2") as app:
        await app.service.started()
        app.service.shadow.assign(app.service.catalogue.find("other"), 1.0)
        await app.service.unload("other@2")
        assert app.service.shadow.loaded is None
        assert (await app.score("prompt", "a")).status_code == 200


async def test_an_unloaded_shadow_leaves_no_series() -> None:
    async with starting(Releases(), model="1", also_serve="other-2,more-3") as app:
        await app.service.started()
        shadow = app.service.shadow
        for name in ("other", "more"):
            shadow.assign(app.service.catalogue.find(name), 1.0)
            await app.score("prompt", name)
            await shadow.settled()
        assert any("other@2" in line for line in await counted(app))
        await app.service.unload("other@2")
        left = await counted(app)
    assert left
    assert all('answered_by="fake-rm@1"' in line and 'shadow="more@3"' in line for line in left)


async def test_a_version_is_no_shadow_of_itself() -> None:
    seen: list[Differences] = []
    async with starting(Releases(), model="1") as app:
        await app.service.started()
        shadow = Shadow(seen.append)
        shadow.assign(app.service.catalogue.find(None), 1.0)
        shadow.maybe_score(
            ScoringRequest(()), ScoringResult("fake-rm", "1", (), 0, 0, Timings(0, 0, 0, 0, 0, 0))
        )
        await shadow.settled()
    assert not seen
