"""A server that a benchmark starts never outlives it."""

import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from benchmarks.harness.processes import Launch, resident, running, watching

_SERVER = """
import http.server, os, subprocess, sys
child = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(600)"])
class Ready(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
    def log_message(self, *args): pass
port = int(sys.argv[sys.argv.index("--port") + 1])
http.server.HTTPServer(("127.0.0.1", port), Ready).serve_forever()
"""
_BENCHMARK = f"""
import psutil, signal
from benchmarks.harness.processes import Launch, running
with running(Launch({(sys.executable, "-S", "-c", _SERVER)!r}, "/")) as server:
    print(server.pid, *(c.pid for c in psutil.Process(server.pid).children()), flush=True)
    signal.pause()
"""


def test_a_server_is_ready_then_gone_with_its_children() -> None:
    with running(Launch((sys.executable, "-S", "-c", _SERVER), "/")) as server:
        pids = [server.pid, *(c.pid for c in psutil.Process(server.pid).children())]
        with watching(server.pid) as memory:
            assert resident(server.pid) > 0
    assert len(pids) == 2
    assert memory.max > 0
    assert all(_gone(pid) for pid in pids)


def test_a_benchmark_that_is_terminated_leaves_nothing_behind() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _BENCHMARK], stdout=subprocess.PIPE, cwd=Path(__file__).parents[3]
    ) as benchmark:
        assert benchmark.stdout
        pids = [int(pid) for pid in benchmark.stdout.readline().split()]
        benchmark.terminate()
        assert benchmark.wait(timeout=60) == 128 + signal.SIGTERM
    assert len(pids) == 2
    assert all(_gone(pid) for pid in pids)


def test_a_server_that_ends_is_an_error_with_its_last_words() -> None:
    launch = Launch((sys.executable, "-S", "-c", "raise SystemExit('no model')"), "/")
    with pytest.raises(RuntimeError, match="no model"), running(launch):
        pass


def test_settings_of_our_service_do_not_reach_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REWARD_PORT", "1")
    monkeypatch.setenv("GIVEN", "by the user")
    names = ["REWARD_PORT", "GIVEN", "NEW"]
    show = f"import os; raise SystemExit(' '.join(map(str, map(os.getenv, {names}))))"
    launch = Launch((sys.executable, "-S", "-c", show), "/", {"GIVEN": "by us", "NEW": "by us"})
    with pytest.raises(RuntimeError, match="None by the user by us"), running(launch):
        pass


def _gone(pid: int) -> bool:
    """Or dead, and only not yet noticed by whoever has to."""
    try:
        process = psutil.Process(pid)
        return process.status() == psutil.STATUS_ZOMBIE or _dies(process)
    except psutil.NoSuchProcess:
        return True


def _dies(process: psutil.Process) -> bool:
    gone, _ = psutil.wait_procs([process], timeout=10)
    return bool(gone)
