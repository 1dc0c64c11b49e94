"""A text on which the engine fails costs no other text its score."""

import asyncio
import math
import random

import pytest

from reward_model.packing import Sequence
from service.engines.engine import EngineDead, OutOfMemory
from service.errors import ItemError
from service.scheduling.isolation import score_isolated
from tests.service.fakes import FakeEngine, running


class Panic(BaseException):
    """Like `pyo3_runtime.PanicException`, which is no Exception."""


class Poisoned(FakeEngine):
    """Fails on every batch that holds one of these tokens, and counts its calls."""

    def __init__(self, poison: bytes = b"!", fault: type[BaseException] = IndexError) -> None:
        super().__init__()
        self.poison, self.fault = set(poison), fault
        self.calls = 0

    def score(self, batch: list[Sequence]) -> list[list[float]]:
        self.calls += 1
        if any(self.poison.intersection(sequence.ids) for sequence in batch):
            raise self.fault
        return super().score(batch)


def texts(*words: str) -> list[Sequence]:
    return [Sequence(tuple(word.encode()), (len(word) - 1,)) for word in words]


@pytest.mark.parametrize("fault", [IndexError, RuntimeError, ValueError, Panic, SystemExit])
@pytest.mark.parametrize("at", [0, 3, 6])
def test_one_text_at_fault_costs_itself_alone(fault: type[BaseException], at: int) -> None:
    words = ["a", "bb", "ccc", "dddd", "ee", "f", "ggg"]
    words[at] += "!"
    results = score_isolated(Poisoned(fault=fault), texts(*words)).results
    for index, (word, result) in enumerate(zip(words, results, strict=True)):
        if index == at:
            assert isinstance(result, ItemError)
            assert (result.code, result.text_at_fault) == ("engine_error", True)
        else:
            assert result == (len(word),)


def test_many_texts_at_fault_cost_no_others() -> None:
    words = ["bad!"] * 60 + ["good"] * 4
    random.Random(0).shuffle(words)
    results = score_isolated(Poisoned(), texts(*words)).results
    assert [result == (4,) for result in results] == [word == "good" for word in words]


def test_one_text_at_fault_is_found_in_a_few_attempts() -> None:
    engine = Poisoned()
    score_isolated(engine, texts(*["fine"] * 200, "bad!", *["fine"] * 55))
    assert engine.calls <= 2 + 2 * math.log2(256)


def test_a_fault_of_the_engine_costs_two_attempts_and_blames_no_text(
    caplog: pytest.LogCaptureFixture,
) -> None:
    engine = Poisoned(poison=b"\0a")  # the token that every model has fails as well
    results = score_isolated(engine, texts(*["a"] * 500)).results
    assert engine.calls == 2
    assert all(isinstance(each, ItemError) and not each.text_at_fault for each in results)
    assert len([record for record in caplog.records if record.exc_info]) == 1


def test_a_fault_that_passes_costs_no_score() -> None:
    class Hiccup(FakeEngine):
        calls = 0

        def score(self, batch: list[Sequence]) -> list[list[float]]:
            self.calls += 1
            if self.calls == 1:
                raise RuntimeError
            return super().score(batch)

    assert score_isolated(Hiccup(), texts("alone")).results == [(5,)]
    assert score_isolated(Hiccup(), texts("a", "bb")).results == [(1,), (2,)]


def test_attempts_that_take_too_long_are_given_up() -> None:
    """Every attempt takes a minute, so a handful of them is all that a batch gets."""
    engine = Poisoned(poison=b"a")
    results = score_isolated(engine, texts(*["a"] * 64), clock=lambda: 60.0 * engine.calls).results
    assert engine.calls <= 10
    assert {type(result) for result in results} == {ItemError}


def test_an_engine_that_dies_on_the_way_is_asked_no_more() -> None:
    class Dying(Poisoned):
        def score(self, batch: list[Sequence]) -> list[list[float]]:
            if self.calls == 3:
                raise EngineDead("the context is lost")
            return super().score(batch)

    engine = Dying()
    scores = score_isolated(engine, texts("a!", "bb", "c", "d"))
    assert scores.died == "the context is lost"
    assert engine.calls == 3


def test_a_lack_of_memory_and_a_fault_in_one_batch() -> None:
    class Cramped(Poisoned):
        def score(self, batch: list[Sequence]) -> list[list[float]]:
            if sum(len(sequence.ids) for sequence in batch) > 6:
                raise OutOfMemory
            return super().score(batch)

    scores = score_isolated(Cramped(), texts("aa", "far too long", "b!", "cc", "dd"))
    codes = [result.code if isinstance(result, ItemError) else result for result in scores.results]
    assert codes == [(2,), "out_of_memory", "engine_error", (2,), (2,)]


def test_nothing_is_tried_any_more_once_the_batch_is_given_up() -> None:
    engine = Poisoned()
    score_isolated(engine, texts("a!", "b"), next_attempt=lambda: False)
    assert engine.calls == 2


async def test_a_request_that_has_no_place_for_item_errors_names_the_text_at_fault() -> None:
    bad = list(b"bad!")
    async with running(Poisoned()) as app:
        answer = await app.client.post("/classify", json={"input": [[5, 6, 7], [5, 6, 8], bad]})
        alone = await app.client.post("/classify", json={"input": [bad]})
        others = await asyncio.gather(*(app.score("p", word) for word in ("one!", "two", "three")))
    for response, item in ((answer, 2), (alone, 0)):
        assert response.status_code == 422
        assert f"item {item} (engine_error)" in response.json()["error"]["message"]
    scores = [other.json()["results"][0]["scores"][0]["score"] for other in others]
    assert scores == [None, 4.0, 6.0]
