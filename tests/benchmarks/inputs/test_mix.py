import random

import pytest

from benchmarks.inputs.corpus import Writer
from benchmarks.inputs.mix import KINDS, make_pool
from tests.benchmarks.corpora import CORPUS
from tests.checkpoints import make_tokenizer

_WRITER = Writer(CORPUS, make_tokenizer().backend_tokenizer)
_POOL = make_pool(_WRITER, max_tokens=512, prompts=2, candidates=8)


@pytest.mark.parametrize("kind", KINDS)
def test_a_client_asks_the_same_with_the_same_seed(kind: str) -> None:
    first, again = (_POOL.order(kind, random.Random(1)) for _ in range(2))
    assert first == again
    assert first.kind == kind


def test_only_the_endless_candidate_is_too_long() -> None:
    order = _POOL.order("too long", random.Random(1))
    lengths = [
        len(_WRITER.tokenizer.encode(order.request.prompt + text).ids)
        for text in order.request.candidates
    ]
    assert [place for place, length in enumerate(lengths) if length > 480] == list(order.errors)


def test_an_empty_candidate_is_asked_for_and_somebody_leaves() -> None:
    empty = _POOL.order("empty candidate", random.Random(1))
    assert [empty.request.candidates[place] for place in empty.errors] == [""]
    assert _POOL.order("leaves", random.Random(1)).leave_after is not None
    assert _POOL.order("bulk", random.Random(1)).body["priority"] == "bulk"
