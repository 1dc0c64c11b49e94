"""What servers are asked is the same for the same seed, and as it is described."""

import pytest

from benchmarks.inputs.corpus import Writer
from benchmarks.inputs.traces import GROUP, PLANS, make_trace
from tests.benchmarks.corpora import CORPUS
from tests.checkpoints import make_tokenizer

_WRITER = Writer(CORPUS, make_tokenizer().backend_tokenizer)


@pytest.mark.parametrize("name", PLANS)
def test_the_seed_decides_the_trace(name: str) -> None:
    trace = make_trace(name, _WRITER, seed=1, requests=2)
    assert trace == make_trace(name, _WRITER, seed=1, requests=2)
    assert trace != make_trace(name, _WRITER, seed=2, requests=2)
    assert len(trace.requests) == 2
    assert trace.at_once == min(2, PLANS[name].at_once)


def test_best_of_16_has_a_prompt_of_its_length() -> None:
    (request,) = make_trace("best-of-16 P=600", _WRITER, seed=1, requests=1).requests
    assert len(request.candidates) == 16
    assert abs(len(_WRITER.tokenizer.encode(request.prompt).ids) - 600) <= 1


def test_rollouts_come_in_groups_of_one_prompt() -> None:
    requests = make_trace("rollouts", _WRITER, seed=1, requests=2 * GROUP).requests
    assert {len(request.candidates) for request in requests} == {1}
    assert len({request.prompt for request in requests}) <= 2
