"""One seam, two ways: a network in this process and a real service give the same numbers."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from benchmarks.harness.processes import running
from benchmarks.harness.servers import ours
from reward_model.text.chat import Message
from tests.checkpoints import make_checkpoint
from trainer.evaluation.question import Question
from trainer.evaluation.scorers.http import HttpScorer, ServiceConfig
from trainer.evaluation.scorers.network import NetworkScorer
from trainer.pipeline.stage import StageError

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


def test_a_service_gives_the_numbers_of_the_network(checkpoint: Path) -> None:
    here = list(NetworkScorer(checkpoint).score(QUESTIONS))
    with running(ours(str(checkpoint), device="cpu", dtype="float32")) as service:
        scorer = HttpScorer(ServiceConfig(service.url, connections=2))
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


class Moody(BaseHTTPRequestHandler):
    """Answers by turns as `script` says."""

    script: list[tuple[int, str]]

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        status, body = self.script.pop(0)
        self.send_response(status)
        self.send_header("Retry-After", "0")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def moody() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Moody) as server:
        Thread(target=server.serve_forever, args=(0.01,)).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


REFUSAL = '{"error": {"message": "no such field", "code": "invalid_request"}}'


def answer(version: str = "1", score_type: str = "raw_logit") -> str:
    return (
        f'{{"model": "m", "version": "{version}", "score_type": "{score_type}", "results": '
        '[{"scores": [{"score": 1.5, "normalized": null, "tokens": 9, "error": null}]}]}'
    )


def test_a_busy_service_is_asked_again(moody: str) -> None:
    Moody.script = [(503, "later"), (200, answer()), (503, ""), (200, answer())]
    scorer = HttpScorer(ServiceConfig(moody, connections=1))
    ((reading,),) = scorer.score(QUESTIONS[2:3])
    scorer.close()
    assert reading.scores == (1.5,)
    assert scorer.name == "m 1"


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ([(422, REFUSAL)], r"refuses: no such field \(422"),
        ([(503, "")] * 50, "does not answer: .* 503"),
        ([(200, "{}")], "does not speak"),
        ([(200, answer(score_type="weighted_normalized"))], "not raw_logit"),
        ([(200, answer()), (200, answer("2"))], "changed from m 1 to m 2"),
    ],
)
def test_what_cannot_be_scored_says_why(
    moody: str, script: list[tuple[int, str]], message: str
) -> None:
    Moody.script = list(script)
    with pytest.raises(StageError, match=message):
        list(HttpScorer(ServiceConfig(moody, patience=0.5)).score(QUESTIONS[2:3]))


def test_a_key_is_taken_from_the_variable_that_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    with pytest.raises(StageError, match="set NO_SUCH_KEY"):
        HttpScorer(ServiceConfig("http://127.0.0.1:1", key_variable="NO_SUCH_KEY"))
