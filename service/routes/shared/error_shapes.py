"""Shapes of errors that several dialects share, and how a route documents its errors."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Literal

from pydantic import BaseModel

from service.errors import ServiceError

ErrorShape = Callable[[ServiceError, int], object]
"""Makes the JSON of an error's response from the error and its HTTP status."""

Responses = dict[int | str, dict[str, object]]

_MEANINGS = {
    400: "The body is not JSON.",
    401: "This server needs an API key.",
    404: "No model of this name is served here.",
    408: "The body did not arrive whole within a minute.",
    413: "The body is too large.",
    415: "The body has a Content-Encoding.",
    422: "The JSON is not what this route takes; the message names the field.",
    429: "As 503, where the server's settings say so (--overload-status).",
    500: "A fault of the server; its log has it under the request's id.",
    503: "Not ready, full, shutting down or over quota: try again after `Retry-After` seconds.",
}


def documented(model: type[BaseModel]) -> Responses:
    """Return the errors that a route may answer with, in the shape of `model`, for OpenAPI."""
    return {
        status: {"model": model, "description": meaning} for status, meaning in _MEANINGS.items()
    }


class OpenaiErrorDetail(BaseModel):
    message: str
    type: Literal["invalid_request_error", "server_error"]
    param: str | None
    code: str


class OpenaiError(BaseModel):
    error: OpenaiErrorDetail


OPENAI_ERRORS = documented(OpenaiError)


def openai_error(error: ServiceError, status: int) -> object:
    """Shape an error as OpenAI's API does."""
    detail = OpenaiErrorDetail(
        message=error.message,
        type="server_error"
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR
        else "invalid_request_error",
        param=error.param,
        code=error.code,
    )
    return OpenaiError(error=detail).model_dump()


class DetailError(BaseModel):
    detail: str


DETAIL_ERRORS = documented(DetailError)


def detail_error(error: ServiceError, _status: int) -> object:
    """Shape an error as plain FastAPI servers do; the servers of RLHF trainers are such."""
    return DetailError(detail=error.message).model_dump()
