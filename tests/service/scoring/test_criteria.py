"""Scores by criteria and by labels, of real tiny models over HTTP."""

import asyncio
import operator
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reward_model.network import RewardNetwork
from reward_model.release.manifest import Criterion
from reward_model.release.release import Release, ReleaseError, open_release
from reward_model.text.chat import Message
from reward_model.text.criteria import with_criterion
from reward_model.text.encoding import Encoder
from service.errors import InvalidRequest
from service.scoring.criteria import Criteria
from service.scoring.model import open_model
from service.settings import Settings
from tests.checkpoints import TEMPLATE, make_checkpoint
from tests.releases import make_release
from tests.service.fakes import GatedEngine, Running, model, release, running, starting

CRITERIA = {
    "correctness": Criterion(prompt="Judge whether it is correct."),
    "readability": Criterion(prompt="Judge how well it reads.", weight=0.5),
    "speed": Criterion(prompt="Judge how fast it runs.", weight=2.0),
}
CANDIDATES = ["def add(a, b): return a + b", "def add(a, b): return a - b", "pass"]
SYSTEM = {"role": "system", "content": "Be brief."}
TURNS = [SYSTEM, {"role": "user", "content": "Add two numbers."}]
Json = dict[str, Any]


@asynccontextmanager
async def serving(path: Path, **settings: object) -> AsyncIterator[Running]:
    async with starting(open_model, model=str(path), device="cpu", **settings) as app:
        await app.service.started()
        assert app.service.unready is None, app.service.failure
        yield app


@pytest.fixture(scope="module")
def judging(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_release(tmp_path_factory.mktemp("judging") / "rm", criteria=CRITERIA)


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    names = {0: "helpful", 1: "correct", 2: "verbose"}
    return make_checkpoint(
        tmp_path_factory.mktemp("labelled") / "rm", labels=3, shape={"id2label": names}
    )


async def ask(app: Running, criteria: object = None, **more: object) -> list[Json]:
    body: dict[str, object] = {"inputs": [{"messages": TURNS, "candidates": CANDIDATES}], **more}
    if criteria is not None:
        body["criteria"] = criteria
    answer = await app.client.post("/v1/score", json=body)
    assert answer.status_code == 200, answer.text
    scores: list[Json] = answer.json()["results"][0]["scores"]
    return scores


async def refused(app: Running, criteria: object, **more: object) -> str:
    answer = await app.score("prompt", "a", criteria=criteria, **more)
    assert answer.status_code == 422, answer.text
    assert (answer.json()["error"]["param"] or "criteria").startswith("criteria")
    message: str = answer.json()["error"]["message"]
    return message


async def test_one_request_with_three_criteria_equals_three_requests(judging: Path) -> None:
    """With the cache and without it, because only without it all of them are computed again."""
    weights = {"correctness": 1.0, "readability": -0.5, "speed": 2.0}
    for cache in (0, 2**20):
        async with serving(judging, result_cache_bytes=cache) as app:
            together = await ask(app, weights)
            alone = {name: await ask(app, {name: 1.0}) for name in weights}
        for index, score in enumerate(together):
            parts = {name: part["score"] for name, part in score["parts"].items()}
            # Batches of other sizes round their products elsewhere, as without criteria.
            single = {name: alone[name][index]["score"] for name in weights}
            assert parts == pytest.approx(single, abs=1e-5)
            assert list(parts) == list(weights)
            total = sum(weight * parts[name] for name, weight in weights.items())
            assert score["score"] == pytest.approx(total, abs=1e-12)
            assert score["tokens"] == sum(alone[name][index]["tokens"] for name in weights)
            assert len(set(parts.values())) == 3, "each prompt changes the score"


async def test_a_criterion_is_the_score_that_training_sees(judging: Path) -> None:
    network = RewardNetwork.load(open_release(judging), device="cpu")
    encoder = Encoder(network.tokenizer, max_tokens=network.max_tokens, pad_id=None)
    turns = tuple(Message(turn["role"], turn["content"]) for turn in TURNS)
    answer = Message("assistant", CANDIDATES[0])
    sequence = encoder.encode(with_criterion((*turns, answer), CRITERIA["speed"].prompt))
    ((expected,),) = network.score([sequence])
    async with serving(judging) as app:
        (first, *_) = await ask(app, ["speed"])
    assert first["parts"]["speed"]["weight"] == 2.0
    assert first["parts"]["speed"]["score"] == pytest.approx(expected, abs=1e-5)
    assert first["score"] == pytest.approx(2 * expected, abs=1e-5)
    assert first["normalized"] == pytest.approx(2 * (expected - 0.5) / 2.0, abs=1e-5)


async def test_candidates_share_the_prompt_of_each_criterion(judging: Path) -> None:
    async with serving(judging) as app:
        body = {
            "inputs": [{"messages": TURNS, "candidates": CANDIDATES}],
            "criteria": {"correctness": 1.0, "speed": 1.0},
        }
        usage = (await app.client.post("/v1/score", json=body)).json()["usage"]
        # Once each, besides the candidates.
        assert usage["computed_tokens"] < 0.6 * usage["tokens"]


async def test_names_alone_have_the_weights_of_the_release(judging: Path) -> None:
    async with serving(judging) as app:
        named = await ask(app, ["readability", "speed"])
        weighted = await ask(app, {"readability": 0.5, "speed": 2.0})
    assert named == weighted


async def test_scores_of_steps_are_weighted_alike(judging: Path, labelled: Path) -> None:
    for path, (one, other) in (
        (judging, ("speed", "readability")),
        (labelled, ("helpful", "verbose")),
    ):
        async with serving(path) as app:
            weights = {one: 2.0, other: -0.5}
            together = await ask(app, dict(weights), steps={"delimiter": " "})
            alone = [await ask(app, {name: 1.0}, steps={"delimiter": " "}) for name in weights]
        for index, score in enumerate(together):
            found = [step["score"] for step in score["steps"]]
            columns = [[step["score"] for step in each[index]["steps"]] for each in alone]
            sums = zip(*columns, strict=True)
            expected = [sum(map(operator.mul, weights.values(), scores)) for scores in sums]
            assert found == pytest.approx(expected, abs=1e-5)
            assert len(found) == CANDIDATES[index].count(" ") + 1


async def test_a_request_without_criteria_is_scored_without_a_prompt(judging: Path) -> None:
    async with serving(judging) as app:
        plain, empty = await ask(app), await ask(app, {})
        (listed,) = (await app.client.get("/v1/models")).json()["data"]
    assert plain == empty
    assert plain[0]["parts"] is None
    assert listed["score_type"] == "raw_logit"
    assert listed["criteria"]["readability"] == {
        "kind": "prompt",
        "weight": 0.5,
        "default_weight": None,
    }


async def test_a_release_or_the_operator_may_name_a_default(tmp_path: Path) -> None:
    usual = CRITERIA["readability"].model_copy(update={"by_default": True})
    path = make_release(tmp_path / "rm", criteria={**CRITERIA, "readability": usual})
    async with serving(path) as app:
        default, named = await ask(app), await ask(app, {"readability": 0.5})
        plain = await ask(app, [])
        rendered = await app.client.post("/get_reward", json={"query": ["a text"]})
        (listed,) = (await app.client.get("/v1/models")).json()["data"]
    assert default == named
    assert plain[0]["parts"] is None
    # A text that was rendered elsewhere says what whoever rendered it wants it to say.
    assert rendered.status_code == 200
    assert listed["score_type"] == "weighted_raw"
    async with serving(path, criteria="speed, correctness=-1") as app:
        chosen, asked = await ask(app), await ask(app, {"speed": 1.0, "correctness": -1})
    assert chosen == asked


async def test_what_a_model_does_not_have_is_refused_with_what_it_has(judging: Path) -> None:
    async with serving(judging) as app:
        assert "nearest is readability: it has correctness, readability, speed" in await refused(
            app, {"readabilty": 1.0}
        )
        assert "it has correctness" in await refused(app, ["Zebra?!"])
        assert "twice" in await refused(app, ["speed", "speed"])
        assert "less than or equal to 1000000" in await refused(app, {"speed": 1e7})
        assert "more entries than the 64" in await refused(app, [str(n) for n in range(65)])
        both = await app.score("p", "a", criteria={"speed": 1}, models={"test-rm": 1.0})
    assert both.status_code == 422
    async with running() as app:
        assert "has no criteria" in await refused(app, {"speed": 1.0})


async def test_criteria_count_in_queue_and_quota() -> None:
    criteria = Criteria({"a": "A?", "b": "B?"}, weights={"a": 1.0, "b": 1.0})
    engine = GatedEngine()
    async with starting(lambda _: replace(model(engine), criteria=criteria)) as app:
        await app.service.started()
        asked = asyncio.create_task(app.score("prompt", "xx", "y", criteria=["a", "b"]))
        await engine.begins()
        assert app.service.admission.items("interactive") == 4
        engine.go_on.release(2)
        answer = (await asked).json()
        assert answer["usage"]["tokens"] == sum(
            len(p) + 6 + n for p in ("A?", "B?") for n in (2, 1)
        )
        metrics = (await app.client.get("/metrics")).text
    assert 'reward_items_total{outcome="ok"} 2.0' in metrics
    # A score by each criterion; their sums are as the weights are.
    assert 'reward_score_count{model="fake-rm",version="1.2"} 4.0' in metrics


async def test_all_labels_come_from_one_forward(labelled: Path) -> None:
    network = RewardNetwork.load(open_release(labelled, several_labels=True), device="cpu")
    encoder = Encoder(network.tokenizer, max_tokens=network.max_tokens, pad_id=None)
    turns = tuple(Message(turn["role"], turn["content"]) for turn in TURNS)
    sequences = [encoder.encode((*turns, Message("assistant", text))) for text in CANDIDATES]
    expected = network.score(sequences)
    weights = {"verbose": -0.25, "helpful": 1.0}
    async with serving(labelled) as app:
        for _ in range(2):  # computed, and then from the cache
            scores = await ask(app, weights)
            for score, (helpful, _, verbose) in zip(scores, expected, strict=True):
                parts = score["parts"]
                assert parts["helpful"]["score"] == pytest.approx(helpful, abs=1e-4)
                assert parts["verbose"]["score"] == pytest.approx(verbose, abs=1e-4)
                assert parts["verbose"]["normalized"] is None
                assert score["score"] == pytest.approx(helpful - verbose / 4, abs=1e-4)
        metrics = (await app.client.get("/metrics")).text
        (listed,) = (await app.client.get("/v1/models")).json()["data"]
    assert [one["tokens"] for one in scores] == [len(sequence.ids) for sequence in sequences]
    assert "reward_cache_hits_total 3.0" in metrics
    assert listed["criteria"]["verbose"] == {
        "kind": "label",
        "weight": None,
        "default_weight": None,
    }


async def test_labels_without_weights_are_refused_until_somebody_gives_some(labelled: Path) -> None:
    async with serving(labelled) as app:
        nothing: tuple[object, ...] = (None, {}, [])
        for asked in nothing:
            message = await refused(app, asked)
            assert "each of its labels (helpful, correct, verbose)" in message
            assert "--criteria" in message
        assert "no weight for correct" in await refused(app, ["correct"])
        assert "the nearest is verbose" in await refused(app, {"verbos": 1.0})
    async with serving(labelled, criteria="helpful=1,verbose=-0.5") as app:
        default = await ask(app)
        answer = await app.client.post("/get_reward", json={"query": ["a text", "b"]})
    assert list(default[0]["parts"]) == ["helpful", "verbose"]
    assert len(answer.json()["rewards"]) == 2


def _with(release: Release, **criteria: Criterion) -> Release:
    return replace(release, criteria=criteria)


def test_a_release_that_contradicts_itself_is_refused(labelled: Path, tmp_path: Path) -> None:
    several = open_release(labelled, several_labels=True)
    with pytest.raises(ReleaseError, match="speed is not"):
        Criteria.of(_with(several, speed=Criterion()), {})
    with pytest.raises(ReleaseError, match="without a prompt, and helpful is not"):
        Criteria.of(_with(several, helpful=Criterion(prompt="x")), {})
    with pytest.raises(ReleaseError, match="no prompt"):
        Criteria.of(_with(release(), speed=Criterion()), {})
    with pytest.raises(ReleaseError, match="--criteria names spede, and this model has no"):
        Criteria.of(release(), {"spede": 1.0})
    silent = TEMPLATE.replace("<|{{", "{% if message.role != 'system' %}<|{{", 1)
    silent = silent.replace("{% endfor", "{% endif %}{% endfor")
    path = make_release(tmp_path / "rm", criteria=CRITERIA, template=silent)
    with pytest.raises(ReleaseError, match="leaves system turns out"):
        open_model(Settings(model=str(path), device="cpu"))


def test_labels_of_a_release_have_its_weights(labelled: Path) -> None:
    several = open_release(labelled, several_labels=True)
    named = _with(several, correct=Criterion(weight=2.0, by_default=True), verbose=Criterion())
    criteria = Criteria.of(named, {})
    assert criteria.weights_of(None) == {"correct": 2.0}
    assert criteria.weights_of(("verbose",)) == {"verbose": 1.0}
    with pytest.raises(InvalidRequest, match="no weight for helpful"):
        criteria.weights_of(("helpful",))
