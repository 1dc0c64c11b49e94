"""Requests go out as many at once as asked for, and a trace ends when its time is over."""

import json
import sys

import httpx
import pytest

from benchmarks.harness.load import replay
from benchmarks.harness.processes import Launch, running
from benchmarks.inputs.dialects import Dialect, Scores
from benchmarks.inputs.texts import Texts
from benchmarks.inputs.traces import Request
from reward_model.packing import Sequence

_ECHO = """
import http.server, sys, threading
everyone = threading.Barrier(3)
class Echo(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.answer(b"")
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/together":
            everyone.wait(timeout=30)
        self.answer(body, 500 if self.path == "/fault" else 200)
    def answer(self, body, status=200):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args): pass
port = int(sys.argv[sys.argv.index("--port") + 1])
http.server.ThreadingHTTPServer(("127.0.0.1", port), Echo).serve_forever()
"""
_LAUNCH = Launch((sys.executable, "-S", "-c", _ECHO), "/")


def _texts(number: int) -> Texts:
    return Texts(Request(str(number), ("x",)), ("x",), (Sequence((1, 2, 3), (2,)),))


def _dialect(path: str) -> Dialect:
    def scores(answer: bytes) -> Scores:
        return [float(json.loads(answer)["prompt"])]

    return Dialect(path, lambda texts: {"prompt": texts.request.prompt}, scores)


def test_replies_keep_their_places_and_requests_are_sent_together() -> None:
    trace = [_texts(number) for number in range(6)]
    with running(_LAUNCH) as server:
        found = replay(server.url, _dialect("/together"), trace, at_once=3)
    assert {place: reply.scores for place, reply in found.replies.items()} == {
        number: [float(number)] for number in range(6)
    }
    assert (found.sequences, found.tokens) == (6, 18)
    assert len(found.latencies) == 6


def test_nothing_is_sent_when_time_is_over_and_a_fault_is_raised() -> None:
    with running(_LAUNCH) as server:
        assert not replay(server.url, _dialect("/"), [_texts(1)], 1, seconds=0).replies
        with pytest.raises(ExceptionGroup) as raised:
            replay(server.url, _dialect("/fault"), [_texts(1)], at_once=1)
    assert raised.group_contains(httpx.HTTPStatusError)
