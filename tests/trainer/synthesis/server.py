"""An OpenAI-compatible server on a real socket, which fails as planned."""

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = Callable[[str, int | None], str]
"""(prompt, seed) -> text."""

FAULTS = ("500", "429", "400", "close", "cut", "html", "no json", "no choices")


def echo(prompt: str, seed: int | None) -> str:
    return f"{prompt} with seed {seed}"


class Server(ThreadingHTTPServer):
    """Answers requests by `reply`, save that the n-th one meets the n-th fault of `plan`, if any.

    Attributes:
        answered: prompts by how often their answer was sent whole.
        max_in_flight: the most requests that were in flight at the same time.
        hold: when set, is waited at before each answer.
    """

    daemon_threads = True

    def __init__(self, reply: Reply, plan: Iterable[str | None], port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.reply = reply
        self.plan = iter(plan)
        self.hold: threading.Barrier | None = None
        self.lock = threading.Lock()
        self.answered: Counter[str] = Counter()
        self.bodies: list[dict[str, Any]] = []
        self.keys: set[str | None] = set()
        self.in_flight = self.max_in_flight = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that is gone is part of the plan."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is theirs
        pass

    def do_GET(self) -> None:
        """Answer a question for its health."""
        self._send(200, "{}")

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        server = self.server
        with server.lock:
            server.bodies.append(body)
            server.keys.add(self.headers["authorization"])
            fault = next(server.plan, None)
            server.in_flight += 1
            server.max_in_flight = max(server.max_in_flight, server.in_flight)
        try:
            if server.hold:
                server.hold.wait(timeout=30)
            self._answer(body, fault)
        finally:
            with server.lock:
                server.in_flight -= 1

    def _answer(self, body: dict[str, Any], fault: str | None) -> None:
        if "messages" in body:
            prompt = "".join(message["content"] for message in body["messages"])
        elif isinstance(body["prompt"], str):
            prompt = body["prompt"]
        else:  # token ids
            prompt = " ".join(map(str, body["prompt"]))
        whole = self._completion(body, prompt)
        if fault is None:
            with self.server.lock:
                self.server.answered[prompt] += 1
            self._send(200, whole)
        elif fault.isdigit():
            self._send(int(fault), json.dumps({"error": {"message": f"planned {fault}"}}))
        elif fault == "html":
            self._send(200, "<html>proxy</html>", kind="text/html")
        elif fault == "no json":
            self._send(200, whole[: len(whole) // 2])
        elif fault == "no choices":
            self._send(200, json.dumps({"object": "chat.completion", "choices": []}))
        elif fault == "cut":
            self._send(200, whole, sent=len(whole) // 2)
        else:
            self.close_connection = True

    def _completion(self, body: dict[str, Any], prompt: str) -> str:
        text = self.server.reply(prompt, body.get("seed"))
        chat = "messages" in body
        said = {"message": {"role": "assistant", "content": text}} if chat else {"text": text}
        limit = body.get("max_tokens")
        cut = limit is not None and len(text.split()) > limit
        choice: dict[str, Any] = {"index": 0, "finish_reason": "length" if cut else "stop", **said}
        usage = {"prompt_tokens": len(prompt.split()), "completion_tokens": len(text.split())}
        usage["total_tokens"] = sum(usage.values())
        kind = "chat.completion" if chat else "text_completion"
        about: dict[str, Any] = {"id": "1", "object": kind, "created": 1, "model": body["model"]}
        if body.get("return_token_ids"):  # as vLLM does; a word's id is its length
            ids = [len(word) for word in text.split()]
            choice["token_ids"] = ids
            told = [{"token": "", "logprob": -float(id_), "top_logprobs": []} for id_ in ids]
            choice["logprobs"] = (
                {"content": told} if chat else {"token_logprobs": [-float(id_) for id_ in ids]}
            )
            prompt_ids = [len(word) for word in prompt.split()]
            if chat:
                about["prompt_token_ids"] = prompt_ids
            else:
                choice["prompt_token_ids"] = prompt_ids
        return json.dumps(about | {"choices": [choice], "usage": usage})

    def _send(
        self, status: int, text: str, *, kind: str = "application/json", sent: int | None = None
    ) -> None:
        content = text.encode()
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(content)))
        self.send_header("retry-after-ms", "1")
        self.end_headers()
        self.wfile.write(content[:sent])
        if sent is not None:
            self.close_connection = True


@contextmanager
def serving(reply: Reply = echo, plan: Iterable[str | None] = ()) -> Iterator[Server]:
    with Server(reply, plan) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
