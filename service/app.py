"""Puts the service together: routes, the error table, and what happens at start and end."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException
from starlette.responses import Response

from service.edge import Edge
from service.errors import (
    BodyTooLarge,
    BodyTooSlow,
    CannotLoad,
    ClientGone,
    Conflict,
    DeadlineExceeded,
    Draining,
    InternalError,
    InvalidKey,
    InvalidRequest,
    ItemFailed,
    ItemRefused,
    MalformedBody,
    NoSuchRoute,
    NotAllowed,
    NotReady,
    Overload,
    QueueFull,
    QuotaExceeded,
    ServiceError,
    Unavailable,
    UnknownModel,
    UntrustedHost,
    WrongMethod,
)
from service.gate import Gate
from service.keyring import Keyring
from service.lifecycle import Service
from service.model import ModelOpener, open_model
from service.record import record_of
from service.routes import (
    either_score,
    llamafactory,
    native,
    oip,
    openai,
    openrlhf,
    ops,
    rerank,
    slime,
    tei,
    vllm,
)
from service.routes.dialect import Dialect, ErrorBody, error_body_for, names_by_route
from service.routes.invalid import explain
from service.routes.openai_shape import openai_error
from service.settings import DialectName, Settings

if TYPE_CHECKING:
    from service.traces import Traces

STATUS: dict[type[ServiceError], int] = {
    MalformedBody: 400,
    UntrustedHost: 400,
    InvalidKey: 401,
    InvalidRequest: 422,
    NoSuchRoute: 404,
    WrongMethod: 405,
    UnknownModel: 404,
    BodyTooSlow: 408,
    BodyTooLarge: 413,
    NotAllowed: 401,
    Conflict: 409,
    CannotLoad: 422,
    ClientGone: 499,
    ItemRefused: 422,
    InternalError: 500,
    ItemFailed: 500,
    NotReady: 503,
    Draining: 503,
    QueueFull: 503,
    QuotaExceeded: 503,
    DeadlineExceeded: 504,
}
"""Overload is 503 and, unless a setting says so, not 429: RLHF clients retry the one and give up on
the other."""

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
        answer=lambda error, path: _answer_at(app, error, path),
        dialects=names_by_route(named),
        trace=traces.add if traces else None,
    )
    return app


def answer_errors(app: FastAPI) -> None:
    """Turn every exception into its response; the app's state names the dialects."""
    for kind, handler in _HANDLERS.items():
        app.add_exception_handler(kind, handler)


def _mounted(named: Mapping[DialectName, Dialect]) -> list[Dialect]:
    """Where two have a path in common, the first one's route is found."""
    both_score = {"native", "vllm"}.issubset(named)
    return [*([either_score.DIALECT] if both_score else []), *named.values()]


def answer(
    error: ServiceError, body_of: ErrorBody = openai_error, *, overload_status: int = 503
) -> Response:
    """The error's response; `body_of` says in which dialect."""
    status = overload_status if isinstance(error, Overload) else STATUS[type(error)]
    response = JSONResponse(body_of(error, status), status)
    if isinstance(error, Unavailable):
        response.headers["Retry-After"] = str(error.retry_after)
    if isinstance(error, InvalidKey | NotAllowed):
        response.headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, Draining):
        # The next request should find another server, not this connection.
        response.headers["Connection"] = "close"
    return response


def _gate(service: Service, clock: Callable[[], float]) -> Gate:
    settings, keyring = service.settings, None
    if settings.api_keys_file:
        keyring = Keyring(settings.api_keys_file, clock)
        service.metrics.watch_keyring(keyring)
    return Gate(settings.trusted_hosts, keyring)


def _answer_at(app: FastAPI, error: ServiceError, path: str) -> Response:
    """In the dialect of a path."""
    body_of = error_body_for(app.state.dialects, path, openai_error)
    settings: Settings = app.state.service.settings
    return answer(error, body_of, overload_status=int(settings.overload_status))


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
        from service.traces import Traces
    except ModuleNotFoundError as error:
        raise TracesUnavailable(
            f"cannot send traces (--otlp-endpoint): {error.name} is not installed. "
            "Run scripts/install otel, or leave the setting out"
        ) from error
    return Traces(str(settings.otlp_endpoint))


async def _answer_service_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ServiceError)
    record_of(request).error = error.code
    return _answer_at(request.app, error, request.url.path)


async def _answer_validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return await _answer_service_error(request, explain(error))


async def _answer_http_exception(request: Request, error: Exception) -> Response:
    """What Starlette and FastAPI raise themselves."""
    assert isinstance(error, HTTPException)
    response = await _answer_service_error(request, _translate(error))
    response.headers.update(error.headers or {})
    return response


def _translate(error: HTTPException) -> ServiceError:
    if isinstance(error.__cause__, ServiceError):
        return error.__cause__  # FastAPI wraps whatever reading the body raised
    match error.status_code:
        case 404:
            return NoSuchRoute("no such path; see /docs for those there are")
        case 405:
            return WrongMethod("this path does not take this method; see /docs")
        case _:
            return MalformedBody("the body cannot be read")


_HANDLERS: dict[type[Exception], Callable[[Request, Exception], Awaitable[Response]]] = {
    ServiceError: _answer_service_error,
    RequestValidationError: _answer_validation_error,
    HTTPException: _answer_http_exception,
}
