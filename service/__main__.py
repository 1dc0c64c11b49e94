"""Starts the service as a process: reads the settings, makes the app, and runs it until it ends."""

import gc
import json
import logging
import multiprocessing
import os
import resource
import sys
from typing import NoReturn

from pydantic import ValidationError
from pydantic_settings import SettingsError

from service.admin import create_admin_app
from service.app import TracesUnavailable, create_app
from service.auth.key_file import KeyFileError
from service.http.server import CannotListen, Server, SideServer, listen
from service.logs import Facts, JsonLines, LineWriter, configure, with_facts
from service.scoring.model import ModelOpener, open_model
from service.service import Service
from service.settings import Settings, unknown_variables

_log = logging.getLogger("service")

_BAD_USAGE = 2

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
    """Serve until a signal or a refusal, then exit: 0 when everything admitted was finished."""
    configure(settings.log_level)
    sys.setswitchinterval(_SWITCH_SECONDS)
    gc.set_threshold(_COLLECT_AFTER)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MAX_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _MAX_DESCRIPTORS)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    for name in unknown_variables():
        _log.warning("the environment's %s is no setting; see --help", name)
    try:
        app = create_app(settings, opener)
        service: Service = app.state.service
        admin = None
        if settings.admin_port is not None:
            side = SideServer(create_admin_app(service, settings.admin_key))
            listener = listen(settings.host, settings.admin_port, "--admin-port")
            admin = side, listener
            facts: Facts = {"host": settings.host, "port": listener.getsockname()[1]}
            _log.info("the admin interface listens", extra=with_facts(facts))
        server = Server(app, settings, lambda port: announce(settings, port), admin)
        server.run(sockets=[listen(settings.host, settings.port)])
    except (KeyFileError, TracesUnavailable, CannotListen) as error:
        report(str(error))
        sys.exit(1)
    if service.refusal:
        report(service.refusal)
    if service.stuck:
        # A usual exit would wait for a thread that still computes. An engine's own processes must
        # not outlive this one, because they hold GPU memory.
        for process in multiprocessing.active_children():
            process.kill()
        logging.shutdown()
        sys.stdout.flush()
        os._exit(server.exit_code)
    try:
        sys.stderr.flush()
    except OSError:
        # Lines that a full disk refused are still in the buffer. Python would try them once more
        # while it ends, fail, and exit with 120 in place of our code.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
    sys.exit(server.exit_code)


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
    curl = (
        f"curl -s {url}/v1/score -H 'Content-Type: application/json'{key} "
        f"-d '{json.dumps(_EXAMPLE_REQUEST)}'"
    )
    if sys.stdout.isatty():
        text = f"{ready}  Try it:\n{curl}"
    else:
        facts = with_facts({"listening": f"{host}:{port}", "try": curl})
        record = logging.LogRecord(_log.name, logging.INFO, __file__, 0, ready, (), None)
        record.__dict__ |= facts
        text = JsonLines().format(record)
    # Nobody need read it: neither a closed pipe nor a full one may stop the service.
    LineWriter(sys.stdout.fileno()).put(text)


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
