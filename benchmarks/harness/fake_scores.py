"""A server that answers `/v1/score` at once, for clients that are measured without a model."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import Receive, Scope, Send

_MODELS = json.dumps({"data": [{"id": "fake", "version": "1"}]}).encode()


async def fake_scores(scope: Scope, receive: Receive, send: Send) -> None:
    """An ASGI application whose score of a candidate is its length."""
    if scope["type"] != "http":
        return
    body = _MODELS
    if scope["method"] == "POST":
        content, more = b"", True
        while more:
            message = await receive()
            content, more = content + message["body"], message["more_body"]
        inputs = json.loads(content)["inputs"]
        body = _answer([[len(text) for text in entry["candidates"]] for entry in inputs])
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _answer(lengths: list[list[int]]) -> bytes:
    results = [
        {
            "scores": [
                {"score": float(n), "normalized": n / 100, "tokens": n, "error": None}
                for n in of_input
            ]
        }
        for of_input in lengths
    ]
    return json.dumps({"model": "fake", "version": "1", "results": results}).encode()


@contextmanager
def serving_fake_scores() -> Iterator[str]:
    """The URL of the fake server, which runs on a thread."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        config = uvicorn.Config(fake_scores, log_config=None, lifespan="off")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
