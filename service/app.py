"""Puts the service together: its routes, its middleware, and what happens at start and end."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline

from service.auth.keyring import Keyring
from service.http.error_responses import add_error_handlers, error_response
from service.http.gate import Gate
from service.http.middleware import RequestMiddleware
from service.models.trial import Trial, try_in_process
from service.routes import llamafactory, openai, openrlhf, ops, slime
from service.routes.native import routes as native
from service.routes.oip import routes as oip
from service.routes.playground import routes as playground
from service.routes.rerank import routes as rerank
from service.routes.shared.dialect import Dialect, names_by_route
from service.routes.shared.routing import probe_paths
from service.routes.tei import routes as tei
from service.routes.vllm import routes as vllm
from service.scoring.model import ModelOpener, open_model
from service.service import Service
from service.settings import DialectName, Settings

if TYPE_CHECKING:
    from service.telemetry.traces import Traces

DIALECTS: dict[DialectName, Dialect] = {
    "native": native.DIALECT,
    "vllm": vllm.DIALECT,
    "openai": openai.DIALECT,
    "openrlhf": openrlhf.DIALECT,
    "slime": slime.DIALECT,
    "llamafactory": llamafactory.DIALECT,
    "rerank": rerank.DIALECT,
    "tei": tei.DIALECT,
    "oip": oip.DIALECT,
}
"""Every dialect, by its name in the settings."""

# FastAPI's own telemetry would send paths and the messages of exceptions, which may quote users.
_NO_TELEMETRY = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}


class TracesUnavailable(Exception):
    """The settings ask for traces that cannot be sent; the message says what to do."""


def create_app(
    settings: Settings,
    opener: ModelOpener = open_model,
    *,
    trial: Trial | None = try_in_process,
    clock: Callable[[], float] = time.monotonic,
) -> FastAPI:
    """Create the app; its `Service` is `app.state.service`, and loads its model at the start.

    Args:
        opener: reads and loads the model that the settings name; runs on the engine's thread.
        trial: tries a model that the admin interface loads, before `opener` sees it.
        clock: gives seconds, for API keys and their quotas.

    Raises:
        TracesUnavailable: the settings ask for traces and OpenTelemetry is not installed.
        KeyFileError: the file of API keys that the settings name cannot be used.
    """
    traces = _open_traces(settings)
    service = Service(settings, opener, trial)
    # The page speaks the native dialect.
    has_playground = settings.playground and "native" in settings.dialects
    app = FastAPIOffline(
        title="codepmp reward-model server",
        version="1",
        description="Scores candidate answers with a reward model."
        + (" Try it in the [playground](playground)." if has_playground else ""),
        lifespan=_lifespan,
        redirect_slashes=False,
        telemetry=_NO_TELEMETRY,
    )
    app.state.service = service
    app.state.traces = traces
    named: dict[str, Dialect] = {name: DIALECTS[name] for name in settings.dialects}
    app.state.dialects = list(named.values())
    if {"native", "vllm"} <= named.keys():
        # Both have `POST /v1/score`. The route that serves either must be found first.
        app.state.dialects.insert(0, native.EITHER)
    routers = [*(dialect.router for dialect in app.state.dialects), ops.router]
    for router in routers:
        app.include_router(router)
    if has_playground:
        app.include_router(playground.router)
    add_error_handlers(app)
    keyring = None
    if settings.api_keys_file:
        keyring = Keyring(settings.api_keys_file, clock)
        service.metrics.watch_keyring(keyring)
    app.add_middleware(
        RequestMiddleware,
        max_body_bytes=settings.max_body_bytes,
        max_bodies_bytes=settings.max_bodies_bytes,
        metrics=service.metrics,
        gate=Gate(
            settings.trusted_hosts,
            keyring,
            probe_paths(routers),
            playground.PATHS if has_playground else (),
        ),
        respond=partial(error_response, app),
        dialects=names_by_route(named),
        leaving=lambda: service.leaving,
        trace=traces.add if traces else None,
    )
    return app


def _open_traces(settings: Settings) -> "Traces | None":
    if settings.otlp_endpoint is None:
        return None
    try:
        # Imported here, because OpenTelemetry's SDK is an optional dependency.
        from service.telemetry.traces import Traces
    except ModuleNotFoundError as error:
        raise TracesUnavailable(
            f"cannot send traces (--otlp-endpoint): {error.name} is not installed. "
            "Run scripts/install otel, or leave the setting out"
        ) from error
    return Traces(str(settings.otlp_endpoint))


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    service: Service = app.state.service
    traces: Traces | None = app.state.traces
    service.start()
    try:
        yield
    finally:
        await service.close()
        if traces:
            await traces.close()
