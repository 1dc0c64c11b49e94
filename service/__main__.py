"""settings -> app -> uvicorn: the only place where a process starts."""

import json
import logging
import multiprocessing
import os
import socket
import sys
from typing import NoReturn

from pydantic import ValidationError
from pydantic_settings import SettingsError

from service.admin import create_admin_app
from service.app import TracesUnavailable, create_app
from service.auth.key_file import KeyFileError
from service.http.server import CannotListen, Server, SideServer, listen
from service.logs import configure
from service.scoring.model import ModelOpener, open_model
from service.service import Service
from service.settings import Settings, unknown_variables

_log = logging.getLogger("service")

_BAD_USAGE = 2

_SWITCH_SECONDS = 0.0005
"""For which a thread may keep the interpreter from others that want it. Python's own 5 ms would be
paid by the engine after every kernel while texts are encoded, and multiply its time.
"""
_TRY_IT = {
    "inputs": [
        {
            "prompt": "Write a function add(a, b) that returns the sum of two numbers.",
            "candidates": ["def add(a, b):\n    return a + b", "def add(a, b):\n    pass"],
        }
    ]
}


def serve(settings: Settings, opener: ModelOpener = open_model) -> NoReturn:
    """Serve until a signal or a refusal, then exit: 0 when everything admitted was finished."""
    configure(settings.log_level)
    sys.setswitchinterval(_SWITCH_SECONDS)
    for name in unknown_variables():
        _log.warning("the environment's %s is no setting; see --help", name)
    try:
        app = create_app(settings, opener)
        server = Server(
            app,
            settings,
            announce=lambda port: _announce(settings, port),
            beside=_admin(app.state.service),
        )
        server.run(sockets=[listen(settings.host, settings.port)])
    except (KeyFileError, TracesUnavailable, CannotListen) as error:
        sys.exit(str(error))
    if refusal := app.state.service.refusal:
        print(refusal, file=sys.stderr)
    _exit(server.exit_code, at_once=app.state.service.stuck)


def _admin(service: Service) -> tuple[SideServer, socket.socket] | None:
    settings = service.settings
    if settings.admin_port is None:
        return None
    admin = SideServer(create_admin_app(service, settings.admin_key))
    return admin, listen(settings.host, settings.admin_port)


def _read_settings() -> Settings:
    """Exits with 2, naming what is wrong, if flags or environment are."""
    try:
        return Settings(_cli_parse_args=True)
    except ValidationError as error:
        for fault in error.errors(include_input=False, include_url=False):
            name = str(fault["loc"][0]) if fault["loc"] else "settings"
            flag, variable = "--" + name.replace("_", "-"), "REWARD_" + name.upper()
            print(f"{flag} (or {variable}): {fault['msg']}", file=sys.stderr)
    except SettingsError as error:
        print(error, file=sys.stderr)
    sys.exit(_BAD_USAGE)


def _announce(settings: Settings, port: int) -> None:
    """A line that can be pasted into a shell as it is, where KEY is set if one is needed."""
    host = settings.host
    reachable = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)  # noqa: S104 - not bound to
    key = ' -H "X-API-Key: $KEY"' if settings.api_keys_file else ""
    url = f"http://{reachable}:{port}"
    print(
        f"Ready. Documentation: {url}/docs  Try it:\n"
        f"curl -s {url}/v1/score -H 'Content-Type: application/json'{key} "
        f"-d '{json.dumps(_TRY_IT)}'",
        flush=True,
    )


def _exit(code: int, *, at_once: bool) -> NoReturn:
    """`at_once` leaves a thread behind that would hold up a usual exit until its work is done.

    An engine's processes do not outlive this one: they hold GPU memory.
    """
    if at_once:
        for process in multiprocessing.active_children():
            process.kill()
        logging.shutdown()
        sys.stdout.flush()
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    serve(_read_settings())
