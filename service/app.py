"""Puts the service together: routes, edge and gate, and what happens at start and end."""

import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline

from service.auth.keyring import Keyring
from service.http.error_responses import answer_at, answer_errors
from service.http.gate import Gate
from service.http.middleware import Edge
from service.routes import llamafactory, openai, openrlhf, ops, slime
from service.routes.native import or_vllm as either_score
from service.routes.native import routes as native
from service.routes.oip import routes as oip
from service.routes.rerank import routes as rerank
from service.routes.shared.dialect import Dialect, names_by_route
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
"""Where two have a path in common, the first one's route is found."""

_NO_TELEMETRY = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}
"""FastAPI's own would send paths and the messages of exceptions, which may be users' texts."""


class TracesUnavailable(Exception):
    """Traces are asked for and cannot be made; the message says what to do."""


def create_app(
    settings: Settings,
    opener: ModelOpener = open_model,
    *,
    clock: Callable[[], float] = time.monotonic,
) -> FastAPI:
    """The app, with its `Service` as `app.state.service`. It loads its model when it is started.

    Args:
        opener: reads and loads what the settings name; runs on the engine's thread.
        clock: gives seconds, for API keys and their quotas.

    Raises:
        TracesUnavailable: the settings ask for traces and OpenTelemetry is not installed.
        KeyFileError: the file of API keys that the settings name cannot be used.
    """
    traces = _open_traces(settings)
    service = Service(settings, opener)
    app = FastAPIOffline(
        title="codepmp reward-model server",
        version="1",
        description="Scores candidate answers with a reward model.",
        lifespan=_lifespan,
        redirect_slashes=False,
        telemetry=_NO_TELEMETRY,
    )
    app.state.service = service
    app.state.traces = traces
    named = {name: DIALECTS[name] for name in settings.dialects}
    dialects = _mounted(named)
    app.state.dialects = dialects
    for dialect in dialects:
        app.include_router(dialect.router)
    app.include_router(ops.router)
    answer_errors(app)
    app.add_middleware(
        Edge,
        max_body_bytes=settings.max_body_bytes,
        metrics=service.metrics,
        gate=_gate(service, clock),
        answer=partial(answer_at, app),
        dialects=names_by_route(named),
        trace=traces.add if traces else None,
    )
    return app


def _mounted(named: Mapping[DialectName, Dialect]) -> list[Dialect]:
    """Where two have a path in common, the first one's route is found."""
    both_score = {"native", "vllm"}.issubset(named)
    return [*([either_score.DIALECT] if both_score else []), *named.values()]


def _gate(service: Service, clock: Callable[[], float]) -> Gate:
    settings, keyring = service.settings, None
    if settings.api_keys_file:
        keyring = Keyring(settings.api_keys_file, clock)
        service.metrics.watch_keyring(keyring)
    return Gate(settings.trusted_hosts, keyring)


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


def _open_traces(settings: Settings) -> "Traces | None":
    """Imports OpenTelemetry's SDK only where it is wanted: it may not be there."""
    if settings.otlp_endpoint is None:
        return None
    try:
        from service.telemetry.traces import Traces
    except ModuleNotFoundError as error:
        raise TracesUnavailable(
            f"cannot send traces (--otlp-endpoint): {error.name} is not installed. "
            "Run scripts/install otel, or leave the setting out"
        ) from error
    return Traces(str(settings.otlp_endpoint))
