"""A service that is busy, gone, changed or of another kind."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from reward_model.text.chat import Message
from trainer.evaluation.question import Question
from trainer.evaluation.scorers.http import HttpScorer, ServiceConfig
from trainer.pipeline.stage import StageError

TURNS = (Message("user", "Hi"), Message("assistant", "Hello"), Message("user", "Add."))
QUESTION = Question("3", "c", TURNS, ("return a + b",), (True,))


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
    busy = [(503, "later"), (200, answer()), (429, ""), (502, "<html>"), (503, ""), (504, "")]
    Moody.script = [*busy, (200, answer())]
    scorer = HttpScorer(ServiceConfig(moody, connections=1))
    ((reading,),) = scorer.score([QUESTION])
    scorer.close()
    assert reading.scores == (1.5,)
    assert scorer.name == "m 1"


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ([(422, REFUSAL)], r"refuses: no such field \(422"),
        ([(503, "")] * 50, "does not answer: .* 503"),
        # Sent again, the same request would most likely fail in the same way.
        ([(200, answer()), (500, "")], "refuses: .* 500"),
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
        list(HttpScorer(ServiceConfig(moody, patience=0.5)).score([QUESTION]))


def test_a_key_is_taken_from_the_variable_that_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    with pytest.raises(StageError, match="set NO_SUCH_KEY"):
        HttpScorer(ServiceConfig("http://127.0.0.1:1", key_variable="NO_SUCH_KEY"))


def test_an_address_that_is_none_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(StageError, match="must begin with http"):
        HttpScorer(ServiceConfig("localhost:8000"))


def test_a_service_that_is_gone_is_named() -> None:
    with pytest.raises(StageError, match=r"http://127\.0\.0\.1:1 does not answer"):
        HttpScorer(ServiceConfig("http://127.0.0.1:1", patience=0.2))
