"""A server that answers `POST /run_code` as SandboxFusion does, and fails as planned.

It runs programs in plain subprocesses, so only programs of the tests may be sent to it.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

FAULTS = ("500", "404", "close", "cut", "html", "no json", "other json", "SandboxError", "nulls")

# SandboxFusion's own limit of captured output.
_CAPTURED = 1 << 20


class FusionServer(ThreadingHTTPServer):
    """Runs programs, save that the n-th request meets the n-th fault of `plan`, if any.

    Attributes:
        bodies: every request, as it came.
    """

    daemon_threads = True

    def __init__(self, plan: Iterable[str | None]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.plan = iter(plan)
        self.lock = threading.Lock()
        self.bodies: list[dict[str, Any]] = []
        self.connections: set[socket.socket] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def die(self) -> None:
        """Close the port and every connection."""
        self.shutdown()
        self.server_close()
        for connection in self.connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that is gone is part of the plan."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FusionServer

    def setup(self) -> None:
        super().setup()
        self.server.connections.add(self.connection)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is theirs
        pass

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        with self.server.lock:
            self.server.bodies.append(body)
            fault = next(self.server.plan, None)
        if fault == "close":
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
        elif fault in ("500", "404"):
            self._send(int(fault), b"no")
        elif fault == "html":
            self._send(200, b"<html>Bad gateway</html>", "text/html")
        elif fault == "no json":
            self._send(200, b'{"status": "Succ')
        elif fault == "other json":
            self._send(200, b'[{"status": "ok", "stdout": "42\\n"}]')
        elif fault == "SandboxError":
            self._send(200, json.dumps({"status": "SandboxError", "message": "no disk"}).encode())
        elif fault == "nulls":
            self._send(200, json.dumps({"status": "Success", "run_result": None}).encode())
        else:
            answer = json.dumps(run_code(body)).encode()
            self._send(200, answer, cut=fault == "cut")

    def _send(
        self, status: int, body: bytes, kind: str = "application/json", *, cut: bool = False
    ) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if cut else body)
        self.close_connection = self.close_connection or cut


def run_code(body: dict[str, Any]) -> dict[str, Any]:
    """Run a request as SandboxFusion does without isolation."""
    if body["language"] != "python":
        return {"status": "SandboxError", "message": "only Python here"}
    with TemporaryDirectory() as folder:
        file = Path(folder) / "program.py"
        file.write_text(body["code"], "utf-8")
        environment = {"PATH": os.environ["PATH"], "LANG": "C"}
        process = subprocess.Popen(
            ["/bin/sh", "-c", f"{sys.executable} {file}"],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        started = time.monotonic()
        out, err = bytearray(), bytearray()
        threads = [
            threading.Thread(target=_drain, args=(process.stdout, out)),
            threading.Thread(target=_drain, args=(process.stderr, err)),
            threading.Thread(target=_feed, args=(process.stdin, body["stdin"].encode())),
        ]
        for thread in threads:
            thread.start()
        status = "Finished"
        try:
            process.wait(body["run_timeout"])
        except subprocess.TimeoutExpired:
            status = "TimeLimitExceeded"
        # As the real one does, it ends the group, and no process that has left it.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for thread in threads:
            thread.join()
        result = {
            "status": status,
            "execution_time": time.monotonic() - started,
            "return_code": process.returncode if status == "Finished" else None,
            "stdout": _decoded(out),
            "stderr": _decoded(err),
        }
    well = status == "Finished" and process.returncode == 0
    return {
        "status": "Success" if well else "Failed",
        "message": "",
        "compile_result": None,
        "run_result": result,
        "executor_pod_name": None,
        "files": {},
    }


def _drain(stream: IO[bytes], captured: bytearray) -> None:
    with stream:
        while piece := os.read(stream.fileno(), 1 << 16):
            captured += piece[: max(0, _CAPTURED - len(captured))]


def _feed(stream: IO[bytes], data: bytes) -> None:
    with suppress(BrokenPipeError), stream:
        stream.write(data)


def _decoded(output: bytearray) -> str:
    try:
        return output.decode()
    except UnicodeDecodeError as error:
        return f"[DecodeError] {error}"


@contextmanager
def fusion_server(plan: Iterable[str | None] = ()) -> Iterator[FusionServer]:
    """A running server; closed in the end."""
    server = FusionServer(plan)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.die()
        thread.join()
