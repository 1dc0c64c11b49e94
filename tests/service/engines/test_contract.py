"""What every engine promises, tried on each: the fake one, torch here, and vLLM in its own file."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification

from reward_model.packing import Sequence
from reward_model.release.checkpoint import load_tokenizer
from reward_model.release.release import open_release
from service.engines.engine import Engine, EngineDead
from service.engines.torch_engine import TorchEngine, load_torch_engine
from service.settings import Settings
from tests.checkpoints import make_checkpoint
from tests.service.fakes import FakeEngine

TOLERANCE = 1e-4


def draw(length: int, seed: int = 0) -> tuple[int, ...]:
    """Random token ids that every tiny checkpoint of the tests knows."""
    generator = torch.Generator().manual_seed(1000 * length + seed)
    return tuple(torch.randint(10, 300, (length,), generator=generator).tolist())


def at_end(ids: tuple[int, ...]) -> Sequence:
    return Sequence(ids, (len(ids) - 1,))


def check_that_close_is_final(engine: Engine) -> None:
    engine.close()
    with pytest.raises(EngineDead):
        engine.score([at_end(draw(5))])


class EngineContract:
    """The tests; a subclass has a fixture `engine` that is warm and takes at least 64 tokens."""

    def test_it_says_what_it_is_and_how_to_feed_it(self, engine: Engine) -> None:
        assert engine.facts.dtype in ("float32", "bfloat16", "float16")
        assert engine.facts.max_tokens >= 64
        assert engine.batching.batches_in_flight >= 1
        assert engine.batching.full_speed_tokens >= 1
        limit = engine.batching.memory_limit_tokens
        assert limit is None or limit >= 1

    def test_scores_are_float32_in_the_order_of_the_batch(self, engine: Engine) -> None:
        batch = [at_end(draw(length)) for length in (9, 3, 30, 1, 17)]
        rows = engine.score(batch)
        assert {len(row) for row in rows} == {engine.facts.labels}
        scores = [score for row in rows for score in row]
        assert [float(np.float32(score)) for score in scores] == scores
        alone = [score for sequence in batch for score in engine.score([sequence])[0]]
        assert scores == pytest.approx(alone, abs=TOLERANCE)

    def test_each_read_position_scores_the_text_up_to_it(self, engine: Engine) -> None:
        ids, positions = draw(40), (0, 7, 8, 39)
        (steps, none) = engine.score([Sequence(ids, positions), Sequence(ids[:5], ())])
        prefixes = engine.score([at_end(ids[: position + 1]) for position in positions])
        # All labels of the first position, then those of the next.
        expected = [score for row in prefixes for score in row]
        assert steps == pytest.approx(expected, abs=TOLERANCE)
        assert none == []

    def test_company_never_changes_a_score(self, engine: Engine) -> None:
        prompt, text = draw(25), at_end(draw(25) + draw(9, seed=1))
        relatives = [at_end(prompt + draw(length, seed=2)) for length in (1, 5, 14)]
        strangers = [at_end(draw(length, seed=3)) for length in range(1, 60, 7)]
        alone = engine.score([text])[0]
        for company in (relatives, strangers, [text], [*relatives, *strangers]):
            for batch, place in (([*company, text], -1), ([text, *company], 0)):
                assert engine.score(batch)[place] == pytest.approx(alone, abs=TOLERANCE)

    def test_a_text_that_is_too_long_is_refused_and_the_engine_goes_on(
        self, engine: Engine
    ) -> None:
        fits = at_end(draw(engine.facts.max_tokens))
        expected = engine.score([fits])
        with pytest.raises(ValueError, match=r"too long|tokens"):
            engine.score([at_end(draw(5)), at_end(draw(engine.facts.max_tokens + 1))])
        assert engine.score([fits])[0] == pytest.approx(expected[0], abs=TOLERANCE)


class TestFakeEngine(EngineContract):
    @pytest.fixture
    def engine(self) -> FakeEngine:
        return FakeEngine()

    def test_close_is_final(self, engine: FakeEngine) -> None:
        check_that_close_is_final(engine)


def load_tiny(folder: Path, labels: int = 1) -> TorchEngine:
    # Heads of 16 numbers, the least that the compiled kernel takes.
    path = make_checkpoint(folder / "model", labels=labels, shape={"hidden_size": 64})
    release = open_release(path, several_labels=True)
    return load_torch_engine(release, load_tokenizer(release), Settings(device="cpu"))


@pytest.fixture(scope="module")
def torch_engine(tmp_path_factory: pytest.TempPathFactory) -> TorchEngine:
    engine = load_tiny(tmp_path_factory.mktemp("torch"))
    engine.warm_up()
    return engine


class TestTorchEngine(EngineContract):
    @pytest.fixture
    def engine(self, torch_engine: TorchEngine) -> TorchEngine:
        return torch_engine

    def test_it_says_so_where_it_shares_prefixes_and_cores(self, engine: TorchEngine) -> None:
        assert engine.facts.shares_prefixes
        assert engine.facts.fallback_reason is None
        assert engine.batching.shares_cores
        assert engine.batching.batches_in_flight == 1

    def test_nan_in_one_text_never_reaches_another(self, engine: TorchEngine) -> None:
        poison, prompt = 9, draw(20)
        healthy = [at_end(prompt + draw(8, seed=1)), at_end(draw(12))]
        poisoned = at_end((*prompt, poison, *draw(4)))
        expected = engine.score(healthy)
        embedding = engine.network.model.get_input_embeddings().weight
        assert isinstance(embedding, torch.Tensor)
        kept = embedding[poison].detach().clone()
        with torch.no_grad():
            embedding[poison] = torch.nan
            first, broken, last = engine.score([healthy[0], poisoned, healthy[1]])
            embedding[poison] = kept
        assert math.isnan(broken[0])
        assert [*first, *last] == pytest.approx([row[0] for row in expected], abs=TOLERANCE)

    def test_close_is_final(self, tmp_path: Path) -> None:
        check_that_close_is_final(load_tiny(tmp_path))


@pytest.fixture(scope="module")
def labelled_engine(tmp_path_factory: pytest.TempPathFactory) -> TorchEngine:
    engine = load_tiny(tmp_path_factory.mktemp("labels"), labels=3)
    engine.warm_up()
    return engine


class TestTorchEngineOfSeveralLabels(EngineContract):
    @pytest.fixture
    def engine(self, labelled_engine: TorchEngine) -> TorchEngine:
        return labelled_engine

    def test_labels_are_those_of_transformers_in_their_order(
        self, engine: TorchEngine, tmp_path: Path
    ) -> None:
        assert engine.facts.labels == 3
        assert engine.facts.shares_prefixes
        # The same seed as that of the engine's checkpoint.
        path = make_checkpoint(tmp_path, labels=3, shape={"hidden_size": 64})
        plain = AutoModelForSequenceClassification.from_pretrained(path).eval()
        ids = draw(12)
        (row,) = engine.score([at_end(ids)])
        with torch.inference_mode():
            logits = plain(input_ids=torch.tensor([ids])).logits[0].tolist()
        assert row == pytest.approx(logits, abs=TOLERANCE)
