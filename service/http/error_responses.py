"""The responses to errors: one table of statuses, and the shape of the dialect that was called."""

from collections.abc import Sequence
from http import HTTPStatus

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
    EncodedBody,
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
from service.routes.shared.dialect import Dialect
from service.routes.shared.error_shapes import openai_error
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
    EncodedBody: 415,
    NotAllowed: 401,
    Conflict: 409,
    CannotLoad: 422,
    # nginx's number: nobody reads this response, it exists for the log and the metrics.
    ClientGone: 499,
    ItemRefused: 422,
    InternalError: 500,
    ItemFailed: 500,
    NotReady: 503,
    Draining: 503,
    # Errors of the kind Overload are 503 rather than 429 unless a setting says so: RLHF clients
    # retry a 503 and give up on a 429.
    QueueFull: 503,
    QuotaExceeded: 503,
    DeadlineExceeded: 504,
}


def error_response(app: FastAPI, error: ServiceError, path: str) -> Response:
    """Return the response to an error, in the shape of the first dialect with this path."""
    dialects: Sequence[Dialect] = app.state.dialects
    settings: Settings = app.state.service.settings
    shape = next((dialect.error_shape for dialect in dialects if dialect.owns(path)), openai_error)
    status = STATUS[type(error)]
    if isinstance(error, Overload):
        status = int(settings.overload_status)
    response = JSONResponse(shape(error, status), status)
    if isinstance(error, Unavailable):
        response.headers["Retry-After"] = str(error.retry_after)
    if isinstance(error, InvalidKey | NotAllowed):
        response.headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, Draining):
        # The next request should find another server instead of this connection.
        response.headers["Connection"] = "close"
    return response


def add_error_handlers(app: FastAPI) -> None:
    """Answer every exception with `error_response`; the app's state holds the dialects."""
    for kind in (ServiceError, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, _handle)


async def _handle(request: Request, exception: Exception) -> Response:
    error = _translate(exception)
    record_of(request).error = error.code
    response = error_response(request.app, error, request.url.path)
    if isinstance(exception, HTTPException):
        # A 405 names the methods that are allowed.
        response.headers.update(exception.headers or {})
    return response


def _translate(exception: Exception) -> ServiceError:
    """Return the service's own error for one that a route, FastAPI or Starlette raised."""
    match exception:
        case ServiceError():
            return exception
        case RequestValidationError():
            return explain(exception)
        case HTTPException(__cause__=ServiceError() as cause):
            return cause  # FastAPI wraps errors that are raised while it reads the body.
        case HTTPException(status_code=HTTPStatus.NOT_FOUND):
            return NoSuchRoute("this path does not exist; see /docs for those that do")
        case HTTPException(status_code=HTTPStatus.METHOD_NOT_ALLOWED):
            return WrongMethod("this path does not take this method; see /docs")
        case _:
            return MalformedBody("the body cannot be read")
