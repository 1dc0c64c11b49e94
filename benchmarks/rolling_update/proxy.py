"""HAProxy in front of replicas, told which there are as a cluster tells its proxies."""

import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

from benchmarks.harness.processes import Launch, running

_CONFIGURATION = """
global
    stats socket {socket} mode 600 level admin
defaults
    mode http
    retries 0
    timeout connect 5s
    timeout client 75s
    timeout server 75s
frontend api
    bind "127.0.0.1:${{PORT}}"
    monitor-uri /alive
    default_backend replicas
backend replicas
    balance leastconn
    server-template slot 1-{slots} 127.0.0.1:1 disabled
"""
"""No request is ever sent twice: what a replica does not answer is seen by the client."""
_START = 'PORT=$3 exec "$0" -db -f "$1"'


@dataclass(frozen=True)
class Proxy:
    """A proxy that runs; its slots are numbered from 1."""

    url: str
    socket: Path

    def add(self, slot: int, url: str) -> None:
        """Requests go to this replica, too."""
        self._tell(f"set server replicas/slot{slot} addr 127.0.0.1 port {urlsplit(url).port}")
        self._tell(f"set server replicas/slot{slot} state ready")

    def remove(self, slot: int) -> None:
        """No new request goes to the slot's replica; those that it has are waited for."""
        self._tell(f"set server replicas/slot{slot} state maint")

    def _tell(self, command: str) -> None:
        with socket.socket(socket.AF_UNIX) as line:
            line.connect(str(self.socket))
            line.sendall(f"{command}\n".encode())
            said = line.recv(4096).decode().strip()
        assert not said or "changed" in said or "no need" in said, said


@contextmanager
def haproxy(slots: int) -> Iterator[Proxy]:
    """A proxy without replicas yet, on a free port.

    Raises:
        FileNotFoundError: HAProxy is not installed.
    """
    program = shutil.which("haproxy")
    if program is None:
        raise FileNotFoundError("haproxy is not on PATH (Debian: apt-get install haproxy)")
    with TemporaryDirectory() as folder:
        control, file = Path(folder) / "control", Path(folder) / "haproxy.cfg"
        file.write_text(_CONFIGURATION.format(socket=control, slots=slots))
        launch = Launch(("sh", "-c", _START, program, str(file)), ready="/alive")
        with running(launch) as server:
            yield Proxy(server.url, control)
