"""scripts/audit.py: pip-audit itself, against a vulnerability service of our own."""

import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NOWHERE = "http://127.0.0.1:9"
"""The port for discarding, where nobody listens."""


@contextmanager
def osv(answers: dict[str, object]) -> Iterator[str]:
    """A service in OSV's protocol that knows this much of packages by name."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            body = json.dumps(answers.get(query["package"]["name"], {})).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def audit(tmp_path: Path, constraints: str, url: str) -> subprocess.CompletedProcess[str]:
    pins = tmp_path / "pins.txt"
    pins.write_text(constraints)
    return subprocess.run(
        [sys.executable, "-m", "scripts.audit", str(pins)],
        capture_output=True,
        check=False,
        cwd=ROOT,
        text=True,
        env=os.environ | {"PIP_AUDIT_OSV_URL": url, "no_proxy": "127.0.0.1"},
        timeout=120,
    )


def test_a_known_vulnerability_fails(tmp_path: Path) -> None:
    affected = {
        "package": {"name": "idna", "ecosystem": "PyPI"},
        "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "3.7"}]}],
    }
    with osv({"idna": {"vulns": [{"id": "PYSEC-1", "affected": [affected]}]}}) as url:
        run = audit(tmp_path, "idna==3.6\nh11==0.16.0\n", url)
    assert run.returncode == 1, run.stderr
    assert "idna 3.6: PYSEC-1, fixed in 3.7" in run.stdout
    assert "vulnerabilities of 2 packages: 1" in run.stdout


def test_nothing_known_passes(tmp_path: Path) -> None:
    with osv({}) as url:
        run = audit(tmp_path, "idna==3.6\n", url)
    assert run.returncode == 0, run.stderr
    assert "vulnerabilities of 1 packages: 0" in run.stdout


def test_without_a_service_it_passes_and_says_so(tmp_path: Path) -> None:
    run = audit(tmp_path, "idna==3.6\n", NOWHERE)
    assert run.returncode == 0, run.stderr
    assert "NOT AUDITED" in run.stdout


def test_pins_that_cannot_be_read_are_no_missing_service(tmp_path: Path) -> None:
    run = audit(tmp_path, "idna >\n", NOWHERE)
    assert run.returncode == 1
    assert "pip-audit failed" in run.stderr
