"""What /metrics says, and that docs/metrics.md says the same."""

import asyncio
import math
import re
import time
from collections import defaultdict
from dataclasses import replace
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from reward_model.release.manifest import Golden
from reward_model.text.chat import Message
from service.models.shadow import Differences
from tests.service.fakes import MAX_TOKENS, FakeEngine, GatedEngine, Running, running, starting

ROOT = Path(__file__).resolve().parents[3]
_ROW = re.compile(r"^\| `(\w+)` \| (\w+) \|([^|]*)\|", re.M)


class Odd(FakeEngine):
    """A reason that would break the format, were it not escaped."""

    facts = replace(
        FakeEngine.facts,
        shares_prefixes=False,
        fallback_reason='quotes "two"\nlines \\ and }',
    )


async def scrape(app: Running) -> str:
    return (await app.client.get("/metrics")).text


def samples_of(text: str) -> dict[tuple[str, ...], float]:
    """By name and the values of the labels in alphabetical order of their names."""
    return {
        (sample.name, *(sample.labels[name] for name in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    file = tmp_path / "keys"
    file.write_text(f"somebody sha256:{sha256(b'sesame').hexdigest()}\n")
    return file


async def exercised(keys: Path, engine: FakeEngine | None = None) -> str:
    """A scrape in which every metric has a sample."""
    async with running(engine, api_keys_file=keys) as app:
        app.client.headers["X-API-Key"] = "sesame"
        await app.score("prompt", "a", "bb", "x" * MAX_TOKENS)
        await app.client.post("/v1/score", json={})
        app.service.metrics.observe_shadow(Differences("fake-rm@1.2", "fake-rm@1.2", (0.5,)))
        return await scrape(app)


async def test_every_metric_is_documented_and_none_is_invented(keys: Path) -> None:
    text = await exercised(keys)
    types = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.M))
    labels: dict[str, set[str]] = {name: set() for name in types}
    for family in text_string_to_metric_families(text):
        assert family.samples, f"{family.name} is never seen by this test"
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels[name] = {key for one in family.samples for key in one.labels} - {"le"}
    served = {
        (name, types[name], frozenset(labels[name]))
        for name in types
        if not name.endswith("_created")
    }
    page = (ROOT / "docs/metrics.md").read_text()
    documented = {
        (name, kind, frozenset(re.findall(r"`(\w+)`", keys)))
        for name, kind, keys in _ROW.findall(page)
    }
    assert sorted(name for name, *_ in served - documented) == []
    invented = (name for name, *_ in documented - served)
    # A process is only told about where the system does.
    assert sorted(name for name in invented if name.startswith("reward")) == []


@pytest.mark.parametrize("engine", [None, Odd()], ids=["plain", "odd"])
async def test_the_exposition_is_sound(engine: FakeEngine | None, keys: Path) -> None:
    check_exposition(await exercised(keys, engine))


async def test_the_exposition_is_sound_before_anything_is_served() -> None:
    def never_ready(_: object) -> None:
        raise RuntimeError

    async with starting(never_ready) as app:  # type: ignore[arg-type] # it returns no model
        await app.service.started()
        text = await scrape(app)
    check_exposition(text)
    assert samples_of(text)["reward_engine_state", "failed"] == 1


def check_exposition(text: str) -> None:
    """What promtool would look at."""
    assert text.endswith("\n")
    described = re.findall(r"^# HELP (\S+) (.*)$", text, re.M)
    assert all(words for _, words in described)
    for lines in (described, re.findall(r"^# TYPE (\S+) (.*)$", text, re.M)):
        names = [name for name, _ in lines]
        assert len(names) == len(set(names))
    for family in text_string_to_metric_families(text):
        assert re.fullmatch(r"(reward|process)_[a-z_]+", family.name)
        assert family.type != "unknown"
        series = [(one.name, tuple(sorted(one.labels.items()))) for one in family.samples]
        assert len(series) == len(set(series))
        if family.type == "histogram":
            check_histogram(family.samples)


def check_histogram(samples: list[Sample]) -> None:
    buckets: dict[tuple[tuple[str, str], ...], list[tuple[float, float]]] = defaultdict(list)
    counts = {}
    for sample in samples:
        labels = tuple(sorted(item for item in sample.labels.items() if item[0] != "le"))
        if sample.name.endswith("_bucket"):
            buckets[labels].append((float(sample.labels["le"]), sample.value))
        elif sample.name.endswith("_count"):
            counts[labels] = sample.value
    assert buckets.keys() == counts.keys()
    for labels, steps in buckets.items():
        assert all(low[0] < high[0] and low[1] <= high[1] for low, high in pairwise(steps))
        assert steps[-1] == (math.inf, counts[labels])


async def test_requests_are_told_apart_by_dialect() -> None:
    async with running() as app:
        await app.score("prompt", "a")
        await app.client.get("/v1/score")
        await app.client.get("/healthz")
        await app.client.get("/no/such/path")
        samples = samples_of(await scrape(app))
    assert samples["reward_requests_total", "native", "ok", "/v1/score"] == 1
    assert samples["reward_requests_total", "native", "method_not_allowed", "/v1/score"] == 1
    assert samples["reward_requests_total", "none", "ok", "/healthz"] == 1
    assert samples["reward_requests_total", "none", "not_found", "unmatched"] == 1


async def test_what_was_cut_is_counted() -> None:
    async with running() as app:
        await app.score("b" * MAX_TOKENS, "answer", "a", over_length="truncate_prompt")
        await app.score("b" * MAX_TOKENS, "answer", "a")
        samples = samples_of(await scrape(app))
    assert samples["reward_truncated_items_total",] == 2
    assert samples["reward_dropped_tokens_total",] == 6 + 1
    assert samples["reward_items_total", "too_long"] == 2


async def test_how_full_batches_are() -> None:
    async with running(max_batch_tokens=10) as app:
        await app.score("prompt", "a")
        await app.score("prompt", "much more")
        samples = samples_of(await scrape(app))
    assert samples["reward_batch_fill_ratio_bucket", "0.5"] == 0
    assert samples["reward_batch_fill_ratio_bucket", "0.75"] == 1
    assert samples["reward_batch_fill_ratio_sum",] == 0.7 + 1.5


async def test_an_engine_is_busy_no_longer_than_time_goes_by() -> None:
    began = time.monotonic()
    async with running() as app:
        idle = samples_of(await scrape(app))
        for _ in range(3):
            await app.score("prompt", "a", "b")
        samples = samples_of(await scrape(app))
    assert idle["reward_engine_busy_seconds_total",] == 0
    assert 0 < samples["reward_engine_busy_seconds_total",] < time.monotonic() - began


async def test_the_state_it_is_in() -> None:
    async with running() as app:
        ready = samples_of(await scrape(app))
        app.service.begin_drain()
        draining = samples_of(await scrape(app))
    for state in ("loading", "ready", "draining", "failed"):
        assert ready["reward_engine_state", state] == (state == "ready")
        assert draining["reward_engine_state", state] == (state == "draining")


async def test_golden_scores_that_are_not_reproduced() -> None:
    turns = (Message("user", "prompt"), Message("assistant", "a"))
    wrong = Golden(messages=turns, score=-1.0)
    async with running(None, wrong) as app:
        samples = samples_of(await scrape(app))
    assert samples["reward_golden_mismatches_total",] == 1
    assert samples["reward_engine_state", "failed"] == 1


async def test_the_work_that_waits_in_seconds() -> None:
    engine = GatedEngine()
    async with running(engine) as app:
        before = samples_of(await scrape(app))
        engine.go_on.release()
        await app.score("prompt", "a")
        await engine.begins()
        waiting = asyncio.create_task(app.score("another prompt", "a"))
        await engine.begins()
        samples = samples_of(await scrape(app))
        engine.go_on.release()
        await waiting
    speed_of = "reward_engine_tokens_per_second", "fake-rm", "1.2"
    assert before[speed_of] == before["reward_queue_work_seconds",] == 0
    speed = samples[speed_of]
    assert speed > 0
    assert samples["reward_queue_work_seconds",] == pytest.approx(15 / speed)
