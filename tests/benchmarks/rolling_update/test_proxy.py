"""HAProxy sends requests to the replicas that it was told of, and to no other."""

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from benchmarks.rolling_update.proxy import haproxy

pytestmark = pytest.mark.skipif(
    shutil.which("haproxy") is None, reason="scripts/install-tools brings HAProxy"
)


@contextmanager
def named(name: str) -> Iterator[str]:
    """The URL of a server that answers with its name."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(name)))
            self.end_headers()
            self.wfile.write(name.encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_it_sends_to_those_added_and_not_removed() -> None:
    with named("a") as a, named("b") as b, haproxy(slots=2) as proxy:
        assert httpx.get(proxy.url).status_code == 503, "there is none yet"
        proxy.add(1, a)
        proxy.add(2, b)
        assert {httpx.get(proxy.url).text for _ in range(8)} == {"a", "b"}
        proxy.remove(1)
        assert {httpx.get(proxy.url).text for _ in range(8)} == {"b"}
        proxy.add(1, b)
        proxy.remove(2)
        assert httpx.get(proxy.url).text == "b"
