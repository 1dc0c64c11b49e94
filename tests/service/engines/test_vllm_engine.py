"""vLLM itself as the engine. It has an environment of its own: scripts/test-vllm."""

import multiprocessing
import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import islice
from pathlib import Path

import psutil
import pytest
import torch

from reward_model.network import RewardNetwork
from reward_model.packing import Sequence
from reward_model.release.release import open_release
from reward_model.text.chat import Message
from service.engines.engine import Engine, EngineDead
from service.errors import ItemError
from service.scheduling.batcher import Batcher, BatchReport
from service.scheduling.isolation import score_isolated
from service.scheduling.queue import JobQueue
from service.scoring.model import Model, open_model
from service.settings import Settings
from tests.checkpoints import make_checkpoint
from tests.service.engines.test_contract import (
    EngineContract,
    at_end,
    check_that_close_is_final,
    draw,
)
from tests.service.fakes import starting, unready
from tests.service.scheduling.test_batcher import job
from tests.service.test_parity import ENDS_IN_EOS, TOLERANCE, Plain, real_texts

pytestmark = pytest.mark.skipif(
    find_spec("vllm") is None, reason="vLLM is not installed here; scripts/test-vllm runs these"
)

# vLLM's kernels for a CPU know no heads of less than 32.
SHAPE = {"hidden_size": 128, "num_attention_heads": 2, "num_key_value_heads": 1}
VLLM = {"engine": "vllm", "device": "auto", "kv_cache_gib": 0.5}


@dataclass(frozen=True)
class Both:
    """One checkpoint, whose pad token is its EOS and whose template ends in it, in vLLM and not."""

    vllm: Model
    network: RewardNetwork
    plain: Plain

    def gap(self, batch: list[Sequence]) -> float:
        found, expected = self.vllm.engine.score(batch), self.network.score(batch)
        assert [len(row) for row in found] == [len(row) for row in expected]
        return max(
            abs(left - right)
            for rows in zip(found, expected, strict=True)
            for left, right in zip(*rows, strict=True)
        )


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    """Loaded once, because it takes half a minute."""
    path = make_checkpoint(
        tmp_path_factory.mktemp("vllm") / "model",
        template=ENDS_IN_EOS,
        pad_is_eos=True,
        shape=SHAPE,
        max_position_embeddings=1024,
    )
    model = open_model(Settings.model_validate({"model": str(path), **VLLM}))
    try:
        yield Both(model, RewardNetwork.load(open_release(path), device="cpu"), Plain(path))
    finally:
        check_that_close_is_final(model.engine)


class TestVllmEngine(EngineContract):
    @pytest.fixture
    def engine(self, both: Both) -> Engine:
        both.vllm.engine.warm_up()
        return both.vllm.engine


def test_all_labels_of_a_head_with_several(tmp_path: Path) -> None:
    path = make_checkpoint(tmp_path / "model", shape=SHAPE, labels=3)
    model = open_model(Settings.model_validate({"model": str(path), **VLLM}))
    try:
        network = RewardNetwork.load(open_release(path, several_labels=True), device="cpu")
        both = Both(model, network, Plain(path))
        assert model.engine.facts.labels == 3
        assert both.gap([at_end(draw(30)), Sequence(draw(9), (2, 8))]) <= TOLERANCE
    finally:
        model.engine.close()


def test_it_says_what_it_is(both: Both) -> None:
    engine = both.vllm.engine
    assert (engine.facts.max_tokens, engine.facts.dtype) == (1024, "float32")
    assert not engine.facts.shares_prefixes
    assert "vLLM" in str(engine.facts.fallback_reason)
    assert engine.batching.batches_in_flight > 1


def test_texts_of_all_lengths_in_one_batch(both: Both) -> None:
    both.vllm.engine.warm_up()
    lengths = (1, 2, 3, 31, 127, 128, 129, 255, 256, 500, 1023, 1024)
    assert both.gap([at_end(draw(length)) for length in lengths]) <= TOLERANCE


def test_text_that_ends_in_eos_where_that_is_the_pad_token(both: Both) -> None:
    """transformers reads the token before it, so the same token is read in vLLM."""
    texts = list(islice(real_texts(), 40))
    batch = [
        both.vllm.encoder.encode((Message("user", prompt), Message("assistant", answer)))
        for prompt, answer in texts
    ]
    assert all(sequence.read_at[-1] < len(sequence.ids) - 1 for sequence in batch)
    found = [row[-1] for row in both.vllm.engine.score(batch)]
    expected = [both.plain.score(prompt, answer) for prompt, answer in texts]
    assert found == pytest.approx(expected, abs=TOLERANCE)
    assert len({round(score, 3) for score in found}) > 20, "a real spread of scores"


def test_several_read_positions(both: Both) -> None:
    ids = draw(300)
    batch = [Sequence(ids, (0, 127, 128, 200, 299)), Sequence(ids[:50], ()), at_end(ids[:7])]
    assert both.gap(batch) <= TOLERANCE


def test_shared_prefixes_and_what_is_kept_of_them(both: Both) -> None:
    prompt = draw(400)
    batch = [at_end(prompt + draw(length, seed=1)) for length in (1, 20, 200)] + [at_end(prompt)]
    assert both.gap(batch) <= TOLERANCE
    assert both.gap(batch) <= TOLERANCE, "also when all of it is kept from before"


def test_a_token_that_the_model_lacks_costs_its_batch_only(both: Both) -> None:
    with pytest.raises(ValueError, match="token 999999"):
        both.vllm.engine.score([at_end(draw(900)), at_end((999_999,))])
    assert both.gap([at_end(draw(9))]) <= TOLERANCE


def test_a_text_that_the_engine_refuses_costs_no_other_text(both: Both) -> None:
    known = [at_end(draw(900)), at_end(draw(30)), at_end(draw(31))]
    batch = [*known[:1], at_end((999_999,)), *known[1:]]
    first, bad, *others = score_isolated(both.vllm.engine, batch).results
    assert isinstance(bad, ItemError)
    assert bad.text_at_fault
    expected = [tuple(row) for row in both.network.score(known)]
    assert [first, *others] == [pytest.approx(row, abs=TOLERANCE) for row in expected]


async def test_batches_overlap(both: Both) -> None:
    engine, reports = both.vllm.engine, list[BatchReport]()
    queue = JobQueue(batch_tokens=300, max_wait=0, bulk_patience=1, shares_prefixes=False)
    with ThreadPoolExecutor(engine.batching.batches_in_flight) as threads:
        batcher = Batcher(engine, queue, threads, report=reports.append)
        jobs = [job(f"{index:03}" + "def f(x): ..." * 10) for index in range(60)]
        batcher.submit(jobs)
        await batcher.close()
    expected = [row[-1] for row in both.network.score([entry.sequence for entry in jobs])]
    answers = [entry.answer.result() for entry in jobs]
    scores = [answer[-1] for answer in answers if isinstance(answer, tuple)]
    assert scores == pytest.approx(expected, abs=TOLERANCE)
    assert max(report.concurrent_batches for report in reports) == engine.batching.batches_in_flight
    assert sum(report.sequences for report in reports) == 60


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"is_causal": False}, "its attention is encoder_only"),
        (
            {"rope_parameters": {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4}},
            "its rotary frequencies depend on a text's length",
        ),
    ],
)
async def test_what_vllm_would_score_wrongly_is_refused(
    tmp_path: Path, changes: dict[str, object], reason: str
) -> None:
    path = make_checkpoint(tmp_path / "model", "llama", shape=SHAPE | changes)
    _, refusal = await unready(path, engine="vllm")
    assert reason in str(refusal)
    assert "Choose --engine torch" in str(refusal)


async def test_the_default_release_is_served_and_leaves_no_process_behind(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its golden scores, which another engine made, are replayed before it is ready.

    Where two cores can stand for two GPUs the model is split over them.
    """
    before = set(multiprocessing.active_children())
    cores = sorted(os.sched_getaffinity(0))[:2]
    parallel = 1 if torch.cuda.is_available() else len(cores)
    monkeypatch.setenv("VLLM_CPU_OMP_THREADS_BIND", "|".join(map(str, cores)))
    async with starting(open_model, **VLLM, tensor_parallel=parallel) as app:
        await app.service.started()
        assert app.service.unready is None
        (process,) = set(multiprocessing.active_children()) - before
        workers = psutil.Process(process.pid).children(recursive=True)
        answer = await app.score(
            "Return the largest of the given numbers.",
            "def largest(numbers):\n    return max(numbers)",
            "def area(width, height):\n    return width * height",
        )
        metrics = (await app.client.get("/metrics")).text
    (result,) = answer.json()["results"]
    scores = [item["score"] for item in result["scores"]]
    assert scores == pytest.approx([0.724908, -12.326119], abs=TOLERANCE)  # the README's
    assert answer.json()["usage"] == {"tokens": 62, "computed_tokens": 62}
    assert re.search(r'reward_shares_prefixes\{.*reason="vLLM', metrics)
    assert not app.service.stuck
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []
    assert len(workers) >= parallel
    process.join(timeout=20)  # one that was killed because it took too long is gone soon
    assert not process.is_alive()
    assert psutil.wait_procs(workers, timeout=20)[1] == []


def test_it_says_when_its_process_has_ended(both: Both) -> None:
    """The last test here: nothing can be scored with that engine afterwards."""
    for process in multiprocessing.active_children():
        process.kill()
    with pytest.raises(EngineDead):
        both.vllm.engine.score([at_end(draw(9))])
    with pytest.raises(EngineDead):
        both.vllm.engine.score([at_end(draw(9))])
