"""A server for the length of a job: starts the service that is installed beside the client."""

import json
import os
import re
import selectors
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from codepmp_client.bulk.exits import UsageError
from codepmp_client.bulk.tables import unwritable
from codepmp_client.errors import ServerFault
from codepmp_client.guarded import guarded

# Seconds between two notes while the model is loaded, and until a server that was told to end does.
_NOTE_SECONDS = 15.0
_END_SECONDS = 20.0

# Bytes of the server's log that a failure looks for its reason in.
_LOG_TAIL = 16 * 1024


@contextmanager
def local_server(
    model: str, arguments: Sequence[str], log: Path, note: Callable[[str], None]
) -> Iterator[str]:
    """Serve a model on a free port of this machine, and yield the URL when it is ready.

    The server ends with the context; and if this process is killed, with that.

    Args:
        model: a folder or a hub id.
        arguments: further ones of `python -m service`.
        log: the server's own log, which stays there if the context fails.
        note: is told how the start goes on.

    Raises:
        UsageError: the service is not installed.
        TableError: the log cannot be written.
        ServerFault: the server ended before it was ready.
    """
    if find_spec("service") is None or find_spec("service.__main__") is None:
        raise UsageError(
            f"--serve needs the server beside the client, and {sys.executable} has none: run this "
            "in the server's environment (its scripts/install makes it), or start a server and "
            "give its --url"
        )
    command = [sys.executable, "-m", "service", "--model", model, *arguments]
    # The last ones win. Nobody else asks this server, so that it need not wait for them.
    command += ["--host", "127.0.0.1", "--port", "0", "--drain-grace-seconds", "0"]
    try:
        stream = log.open("wb")
    except OSError as error:
        raise unwritable(log, error) from error
    with stream:
        # A session of its own, so that Ctrl-C at a terminal ends the job first and then the server.
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=stream, start_new_session=True
        )
    with guarded(process, _END_SECONDS):
        yield _wait_until_ready(process, model, log, note)
    log.unlink()


def _wait_until_ready(
    process: "subprocess.Popen[bytes]", model: str, log: Path, note: Callable[[str], None]
) -> str:
    """The URL that the server prints on a line of its own when it is ready."""
    note(f"starting a server of {model}")
    began = time.monotonic()
    assert process.stdout
    printed = b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while b"\n" not in printed:
            if not selector.select(_NOTE_SECONDS):
                note(f"the server has been loading for {time.monotonic() - began:.0f} s")
                continue
            received = os.read(process.stdout.fileno(), 64 * 1024)
            if not received:
                code = process.wait()
                raise ServerFault(
                    f"the server of {model} ended with {code} before it was ready: {_reason(log)} "
                    f"({log} is its log)"
                )
            printed += received
    url = re.search(rb"(http://\S+)/docs", printed)
    assert url, "the service tells where its documentation is"
    note(f"the server was ready after {time.monotonic() - began:.1f} s")
    return url[1].decode()


def _reason(log: Path) -> str:
    """The last sentence that the server logged."""
    with log.open("rb") as stream:
        stream.seek(max(0, stream.seek(0, os.SEEK_END) - _LOG_TAIL))
        lines = stream.read().decode(errors="replace").splitlines()
    last = next((line for line in reversed(lines) if line.strip()), "it wrote nothing to its log")
    try:
        entry = json.loads(last)
    except ValueError:
        return last
    return str(entry.get("message", last)) if isinstance(entry, dict) else last
