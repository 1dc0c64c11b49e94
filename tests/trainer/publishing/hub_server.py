"""As much of the hub's HTTP API as a push needs, in memory, on a real socket."""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

COMMIT = "0" * 40


class Hub(ThreadingHTTPServer):
    """Repositories by name: files by path. `commits` counts them."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.private: dict[str, bool] = {}
        self.commits = 0
        self.lost = ""
        """Path of a file that a commit cuts short."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


@contextmanager
def running() -> Iterator[Hub]:
    with Hub() as hub:
        thread = threading.Thread(target=hub.serve_forever)
        thread.start()
        try:
            yield hub
        finally:
            hub.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: Hub

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        """`/api/models/OWNER/NAME/(tree|revision)/...` or `/OWNER/NAME/resolve/REVISION/PATH`."""
        parts = unquote(urlsplit(self.path).path).strip("/").split("/")
        name = "/".join(parts[2:4] if parts[0] == "api" else parts[:2])
        files = self.server.repositories.get(name)
        if files is None:
            self._answer(404, b"{}", {"X-Error-Code": "RepoNotFound"})
        elif parts[0] != "api":
            content = files["/".join(parts[4:])]
            etag = {"ETag": f'"{_oid(content)}"', "X-Repo-Commit": COMMIT}
            self._answer(200, content, etag)
        elif len(parts) > 4 and parts[4] == "tree":
            self._json([_entry(path, files[path]) for path in sorted(files)])
        else:
            self._json({"id": name, "sha": COMMIT, "siblings": [{"rfilename": f} for f in files]})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        parts = urlsplit(self.path).path.strip("/").split("/")
        if parts == ["api", "repos", "create"]:
            wanted = json.loads(body)
            name = f"{wanted['organization']}/{wanted['name']}"
            self.server.repositories.setdefault(name, {".gitattributes": b"* text\n"})
            self.server.private.setdefault(name, wanted["visibility"] == "private")
            self._json({"url": f"{self.server.url}/{name}"})
            return
        files = self.server.repositories["/".join(parts[2:4])]
        if parts[4] == "preupload":
            names = [file["path"] for file in json.loads(body)["files"]]
            self._json(
                {
                    "files": [
                        {"path": n, "uploadMode": "regular", "shouldIgnore": False} for n in names
                    ]
                }
            )
        elif parts[4] == "paths-info":
            names = parse_qs(body.decode())["paths"]
            self._json([_entry(path, files[path]) for path in names if path in files])
        else:
            self._commit("/".join(parts[2:4]), [json.loads(line) for line in body.splitlines()])

    def _commit(self, name: str, lines: list[dict[str, dict[str, str]]]) -> None:
        files = self.server.repositories[name]
        for line in lines:
            if str(line["key"]) == "file":
                content = base64.b64decode(line["value"]["content"])
                lost = line["value"]["path"] == self.server.lost
                files[line["value"]["path"]] = content[:-1] if lost else content
            elif str(line["key"]) == "deletedFile":
                del files[line["value"]["path"]]
        self.server.commits += 1
        url = f"{self.server.url}/{name}/commit/{COMMIT}"
        self._json({"success": True, "commitUrl": url, "commitOid": COMMIT})

    def _json(self, value: object) -> None:
        self._answer(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _oid(content: bytes) -> str:
    header = f"blob {len(content)}\0".encode()
    return hashlib.sha1(header + content, usedforsecurity=False).hexdigest()


def _entry(path: str, content: bytes) -> dict[str, object]:
    return {"type": "file", "path": path, "size": len(content), "oid": _oid(content)}
