"""One seam, two ways: a network in this process and a real service give the same numbers."""

from pathlib import Path

import pytest

from benchmarks.harness.processes import running
from benchmarks.harness.servers import ours
from reward_model.text.chat import Message
from tests.checkpoints import make_checkpoint
from trainer.evaluation.question import Question
from trainer.evaluation.scorers.http import HttpScorer, ServiceConfig
from trainer.evaluation.scorers.network import NetworkScorer
from trainer.evaluation.scorers.scorer import QuestionScorer
from trainer.pairs.criteria import STANDARD, write_criteria

CODE = "def add(a, b):\n    return a + b"

TURNS = (Message("user", "Hi"), Message("assistant", "Hello"), Message("user", "Add."))

QUESTIONS = [
    Question("1", "a", "Add two numbers.", (CODE, CODE + " ", "x", ""), (True,) * 4),
    Question("2", "b", "Add two numbers.", ("word " * 2000, "no <|end|> here"), (True,) * 2),
    Question("3", "c", TURNS, (CODE,), (True,)),
    Question("4", "d", "Solve.", (("First, add. ", "Then,\n\nsay 3."), ("Say 4.",)), (True,) * 2),
    Question("5", "e", "", ("x",), (True,)),
    Question("6", "f", "Add.", tuple(f"{n} is it" for n in range(600)), (True,) * 600),
]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_checkpoint(tmp_path_factory.mktemp("model"))


QUESTIONS += [
    Question("7", "f", "Add.", ("a", "b"), (True, False), aspect="runtime"),
    Question("8", "f", "Add.", ("a", "b"), (True, False), aspect="taste"),
    Question("9", "f", "Add.", ("a", "b"), (True, False)),
]
# Counts in requests that name no criteria, and so in none of an evaluation.
CRITERIA = {"runtime": STANDARD["runtime"].model_copy(update={"by_default": True})}


def test_a_service_gives_the_numbers_of_the_network(checkpoint: Path) -> None:
    write_criteria(CRITERIA, checkpoint)
    network: QuestionScorer = NetworkScorer(checkpoint)
    here = list(network.score(QUESTIONS))
    with running(ours(str(checkpoint), device="cpu", dtype="float32")) as service:
        scorer = HttpScorer(ServiceConfig(service.url, connections=2), CRITERIA)
        there = list(scorer.score(QUESTIONS))
        scorer.close()
    for near, far in zip(here, there, strict=True):
        assert [reading.error for reading in near] == [reading.error for reading in far]
        for one, other in zip(near, far, strict=True):
            assert one.scores == pytest.approx(other.scores, abs=1e-5)
    errors = [[reading.error for reading in row] for row in here]
    assert errors[:2] == [["", "", "", "empty"], ["too_long", ""]]
    assert errors[4] == ["empty request"]
    assert [len(reading.scores) for reading in here[3]] == [3, 2]
    judged, unknown, plain = ([reading.scores for reading in row] for row in here[-3:])
    assert judged != plain  # by the prompt of its criterion
    assert unknown == plain  # the checkpoint has none of this name
