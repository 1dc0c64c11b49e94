"""Answers of vLLM's pooling server: lists of scores, and errors."""

import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import Generic, Literal, TypeVar

from fastapi import Request
from pydantic import BaseModel

from service.errors import ServiceError
from service.routes.shared.error_shapes import documented
from service.scoring.types import ScoringResult
from service.telemetry.request_record import record_of

Row = TypeVar("Row")


class TokenizeResponse(BaseModel):
    count: int
    max_model_len: int
    tokens: list[int]
    # vLLM's field for the tokens as text, which it fills only on demand.
    token_strs: None = None


class ServerLoad(BaseModel):
    server_load: int


class SoftwareVersion(BaseModel):
    version: str


class VllmUsage(BaseModel):
    prompt_tokens: int
    total_tokens: int
    completion_tokens: int = 0


class VllmList(BaseModel, Generic[Row]):
    """The list from which clients of vLLM and of OpenAI read their rows."""

    id: str
    object: Literal["list"] = "list"
    created: int
    model: str
    data: list[Row]
    usage: VllmUsage


class Classification(BaseModel):
    # A reward model is a classifier with one class, or with one for each criterion that a request
    # asks for; `label` is that of the highest. verl reads `data[-1].probs[-1]`.
    index: int
    label: str = "LABEL_0"
    probs: list[float]
    num_classes: int = 1


class PooledOutput(BaseModel):
    index: int
    object: Literal["pooling"] = "pooling"
    data: list[float] | str


class PairScore(BaseModel):
    index: int
    object: Literal["score"] = "score"
    score: float


def to_list(kind: str, request: Request, result: ScoringResult, rows: list[Row]) -> VllmList[Row]:
    """Make the response; its id begins with `kind`."""
    return VllmList(
        id=f"{kind}-{record_of(request).request_id}",
        created=int(time.time()),
        model=result.model,
        data=rows,
        usage=VllmUsage(prompt_tokens=result.tokens, total_tokens=result.tokens),
    )


class VllmErrorDetail(BaseModel):
    message: str
    type: str
    param: str | None
    code: int


class VllmError(BaseModel):
    error: VllmErrorDetail


VLLM_ERRORS = documented(VllmError)
# vLLM's names of error types by HTTP status; the others follow from the class of the status.
_ERROR_TYPES: Mapping[int, str] = {404: "NotFoundError", 503: "ServiceUnavailableError"}


def vllm_error(error: ServiceError, status: int) -> object:
    """Shape an error as vLLM does; `code` is the HTTP status."""
    server_fault = status >= HTTPStatus.INTERNAL_SERVER_ERROR
    kind = _ERROR_TYPES.get(status, "InternalServerError" if server_fault else "BadRequestError")
    detail = VllmErrorDetail(message=error.message, type=kind, param=error.param, code=status)
    return VllmError(error=detail).model_dump()
