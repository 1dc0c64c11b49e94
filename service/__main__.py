# PYTHON_ARGCOMPLETE_OK: shells complete the flags of programs that say this (docs/README.md).
"""Starts the service as a process: reads the settings, makes the app, and runs it until it ends."""

import os

if "_ARGCOMPLETE" in os.environ:
    # Before the imports below, which take a second: somebody has pressed the tab key and waits.
    from service.completion import complete

    complete()

import asyncio
import gc
import json
import logging
import multiprocessing
import resource
import signal
import sys
from collections.abc import Mapping
from typing import NoReturn

from fastapi import FastAPI
from pydantic import ValidationError
from pydantic_settings import SettingsError

from service.admin import create_admin_app
from service.app import TracesUnavailable, create_app
from service.auth.key_file import KeyFileError
from service.check import CheckFailed, check
from service.http.server import CannotListen, Server, SideServer, listen
from service.logs import Facts, JsonLines, LineWriter, configure, with_facts
from service.scoring.model import ModelOpener, open_model
from service.service import Service
from service.settings import Settings, unknown_variables

_log = logging.getLogger("service")

_BAD_USAGE = 2
_INTERRUPTED = 130  # as shells have it, 128 and the number of SIGINT

# Seconds that a thread may keep the interpreter from others that want it. With Python's own 5 ms,
# the engine would wait that long after every kernel while texts are encoded.
_SWITCH_SECONDS = 0.0005

# New objects after which the garbage collector looks for cycles. With Python's own 700, parsing and
# validating a large request runs it hundreds of times over all objects, which costs more than the
# work itself.
_COLLECT_AFTER = 50_000

_EXAMPLE_REQUEST = {
    "inputs": [
        {
            "prompt": "Write a function add(a, b) that returns the sum of two numbers.",
            "candidates": ["def add(a, b):\n    return a + b", "def add(a, b):\n    pass"],
        }
    ]
}


# File descriptors, of which each connection takes one. A larger limit would slow down libraries
# that close every possible one before they start a process.
_MAX_DESCRIPTORS = 65_536


def serve(settings: Settings, opener: ModelOpener = open_model) -> NoReturn:
    """Serve until a signal or a refusal, then exit: 0 when everything admitted was finished.

    With --check, the models are loaded and proven in the same way and closed again.
    """
    prepare_process(settings)
    unknown = [
        f"the environment's {name} is no setting; see --help" for name in unknown_variables()
    ]
    for warning in unknown:
        _log.warning("%s", warning)
    try:
        app = create_app(settings, opener)
        service: Service = app.state.service
        admin = None
        if settings.admin_port is not None:
            side = SideServer(create_admin_app(service, settings.admin_key))
            beside = listen(settings.host, settings.admin_port, "--admin-port")
            admin = side, beside
            facts: Facts = {"host": settings.host, "port": beside.getsockname()[1]}
            _log.info("the admin interface listens", extra=with_facts(facts))
        listener = listen(settings.host, settings.port)
    except (KeyFileError, TracesUnavailable, CannotListen) as error:
        report(str(error))
        sys.exit(1)
    if settings.check:
        # Nobody will be answered, so nobody may connect.
        for bound in (listener, *(admin or ())[1:]):
            bound.close()
        leave(run_check(app, unknown), stuck=service.stuck)
    server = Server(app, settings, lambda port: announce(settings, port), admin)
    server.run(sockets=[listener])
    if service.refusal:
        report(service.refusal)
    leave(server.exit_code, stuck=service.stuck)


def prepare_process(settings: Settings) -> None:
    """Set up the log, the interpreter and the limits of the process."""
    # Who checks at a terminal reads one sentence at the end; elsewhere the whole log is of use.
    told = settings.check and sys.stderr.isatty() and "log_level" not in settings.model_fields_set
    configure("critical" if told else settings.log_level)
    sys.setswitchinterval(_SWITCH_SECONDS)
    gc.set_threshold(_COLLECT_AFTER)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MAX_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _MAX_DESCRIPTORS)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))


def leave(exit_code: int, *, stuck: bool) -> NoReturn:
    """End the process, whatever still holds it up.

    Args:
        stuck: whether a thread did not end, for which a usual exit would wait.
    """
    if stuck:
        # An engine's own processes must not outlive this one, because they hold GPU memory.
        for process in multiprocessing.active_children():
            process.kill()
        logging.shutdown()
        sys.stdout.flush()
        os._exit(exit_code)
    try:
        sys.stderr.flush()
    except OSError:
        # Lines that a full disk refused are still in the buffer. Python would try them once more
        # while it ends, fail, and exit with 120 in place of our code.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
    sys.exit(exit_code)


def run_check(app: FastAPI, warnings: list[str]) -> int:
    """Check a start of the app, say what came of it, and return the exit code."""

    def stop(_signal: int, _frame: object) -> None:
        report("stopped; nothing is known of a start")
        leave(_INTERRUPTED, stuck=True)  # a thread may load for minutes yet

    # As the first process of a container it would not get the signals otherwise.
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, stop)
    try:
        found = asyncio.run(check(app, warnings))
    except CheckFailed as error:
        report(str(error))
        return 1
    message = "Checked. A start with these settings becomes ready."
    put_out(message, "\n  ".join([message, *found.lines()]), found.facts()).drain()
    return 0


def report(message: str) -> None:
    """Say why the process ends: plainly at a terminal, otherwise as a line of the log."""
    if sys.stderr.isatty():
        print(message, file=sys.stderr)
    else:
        _log.error(message)


def announce(settings: Settings, port: int) -> None:
    """Write to standard output where the service listens, and a request to try it with.

    At a terminal these are two lines, and the second can be pasted into a shell, where KEY is set
    if one is needed. Elsewhere they are one JSON object, like the log that collectors read with it.
    """
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    reachable = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(host, host)  # noqa: S104 - not bound to
    key = ' -H "X-API-Key: $KEY"' if settings.api_keys_file else ""
    url = f"http://{reachable}:{port}"
    ready = f"Ready. Documentation: {url}/docs"
    if settings.playground and "native" in settings.dialects:
        ready += f"  Playground: {url}/playground"
    curl = (
        f"curl -s {url}/v1/score -H 'Content-Type: application/json'{key} "
        f"-d '{json.dumps(_EXAMPLE_REQUEST)}'"
    )
    text = f"{ready}  Try it:\n{curl}"
    put_out(ready, text, {"listening": f"{host}:{port}", "try": curl})


def put_out(message: str, text: str, facts: Mapping[str, object]) -> LineWriter:
    """Write to standard output: the text at a terminal, elsewhere the message and facts as JSON."""
    if not sys.stdout.isatty():
        record = logging.LogRecord(_log.name, logging.INFO, __file__, 0, message, (), None)
        record.__dict__["facts"] = facts
        text = JsonLines().format(record)
    # Nobody need read it: neither a closed pipe nor a full one may stop the service.
    writer = LineWriter(sys.stdout.fileno())
    writer.put(text)
    return writer


def read_settings() -> Settings:
    """Read flags and environment; if something is wrong there, print what and exit with 2."""
    try:
        return Settings(_cli_parse_args=True)
    except ValidationError as error:
        for fault in error.errors(include_input=False, include_url=False):
            message = fault["msg"].removeprefix("Value error, ")  # pydantic's words, not ours
            if fault["loc"]:
                name = str(fault["loc"][0])
                flag, variable = "--" + name.replace("_", "-"), "REWARD_" + name.upper()
                message = f"{flag} (or {variable}): {message}"
            print(message, file=sys.stderr)  # a rule about two settings names them itself
    except SettingsError as error:
        print(error, file=sys.stderr)
    sys.exit(_BAD_USAGE)


if __name__ == "__main__":
    serve(read_settings())
