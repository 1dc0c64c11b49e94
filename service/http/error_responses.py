"""What an error is answered with: one table of statuses, each dialect's own shape.

Every exception that ends a request is turned into one of `service.errors`.
"""

from collections.abc import Awaitable, Callable

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

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
from service.routes.shared.dialect import ErrorBody, error_body_for
from service.routes.shared.openai_shape import openai_error
from service.routes.shared.validation_errors import explain
from service.settings import Settings
from service.telemetry.request_record import record_of

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


def answer_errors(app: FastAPI) -> None:
    """Turn every exception into its response; the app's state names the dialects."""
    for kind, handler in _HANDLERS.items():
        app.add_exception_handler(kind, handler)


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


def answer_at(app: FastAPI, error: ServiceError, path: str) -> Response:
    """In the dialect of a path."""
    body_of = error_body_for(app.state.dialects, path, openai_error)
    settings: Settings = app.state.service.settings
    return answer(error, body_of, overload_status=int(settings.overload_status))


async def _answer_service_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ServiceError)
    record_of(request).error = error.code
    return answer_at(request.app, error, request.url.path)


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
