"""Errors of whole requests in OpenAI's shape, and how a route's errors are documented."""

from typing import Literal

from pydantic import BaseModel

from service.errors import ServiceError


class ErrorDetail(BaseModel):
    message: str
    type: Literal["invalid_request_error", "server_error"]
    param: str | None
    code: str


class ErrorBody(BaseModel):
    error: ErrorDetail


def openai_error(error: ServiceError, status: int) -> object:
    """The JSON of an error."""
    kind: Literal["invalid_request_error", "server_error"]
    kind = "invalid_request_error" if status < _SERVERS else "server_error"
    detail = ErrorDetail(message=error.message, type=kind, param=error.param, code=error.code)
    return ErrorBody(error=detail).model_dump()


_SERVERS = 500
"""From here on a status is the server's fault."""

_MEANINGS = {
    400: "The body is not JSON.",
    401: "This server needs an API key.",
    404: "Another model is served here.",
    408: "The body did not come whole within a minute.",
    413: "The body is too large.",
    422: "The JSON is not what this route takes; the message names the field.",
    429: "As 503, where the server's settings say so (--overload-status).",
    500: "A fault of the server's; its log has it under the request's id.",
    503: "Not ready, full, shutting down or over quota: try again after `Retry-After` seconds.",
}
Responses = dict[int | str, dict[str, object]]


def documented(model: type[BaseModel]) -> Responses:
    """For a route's documentation: what it answers besides scores, in the shape of `model`."""
    return {
        status: {"model": model, "description": meaning} for status, meaning in _MEANINGS.items()
    }


ERRORS = documented(ErrorBody)
