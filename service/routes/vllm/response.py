"""The lists that vLLM and OpenAI's clients read their scores from, and vLLM's errors."""

import time
from base64 import b64encode
from struct import pack
from typing import Generic, Literal, TypeVar

from fastapi import Request
from pydantic import BaseModel

from service.errors import ServiceError
from service.routes.shared.openai_shape import documented
from service.routes.vllm.request import ItemsRequest
from service.scoring.types import ScoringResult
from service.telemetry.request_record import record_of

Row = TypeVar("Row")


class Usage(BaseModel):
    prompt_tokens: int
    total_tokens: int
    completion_tokens: int = 0


class Listed(BaseModel, Generic[Row]):
    id: str
    object: Literal["list"] = "list"
    created: int
    model: str
    data: list[Row]
    usage: Usage


class Classified(BaseModel):
    index: int
    label: str = "LABEL_0"
    probs: list[float]
    num_classes: int = 1


class Pooled(BaseModel):
    index: int
    object: Literal["pooling"] = "pooling"
    data: list[float] | str


class Pair(BaseModel):
    index: int
    object: Literal["score"] = "score"
    score: float


class Embedded(BaseModel):
    index: int
    object: Literal["embedding"] = "embedding"
    embedding: list[float] | str


def listed(kind: str, request: Request, scored: ScoringResult, rows: list[Row]) -> Listed[Row]:
    """The answer; `kind` begins its id."""
    return Listed(
        id=f"{kind}-{record_of(request).request_id}",
        created=int(time.time()),
        model=scored.model,
        data=rows,
        usage=Usage(prompt_tokens=scored.tokens, total_tokens=scored.tokens),
    )


def vector(body: ItemsRequest, score: float) -> list[float] | str:
    """A score as a vector of one number, encoded as it was asked for."""
    if body.encoding_format == "base64":
        return b64encode(pack("<f", score)).decode()
    return [score]


class VllmErrorDetail(BaseModel):
    message: str
    type: str
    param: str | None
    code: int


class VllmError(BaseModel):
    error: VllmErrorDetail


ERRORS = documented(VllmError)
_TYPES = {404: "NotFoundError", 503: "ServiceUnavailableError"}
_SERVERS = 500


def vllm_error(error: ServiceError, status: int) -> object:
    """The JSON of an error; `code` is the HTTP status."""
    other = "BadRequestError" if status < _SERVERS else "InternalServerError"
    kind = _TYPES.get(status, other)
    detail = VllmErrorDetail(message=error.message, type=kind, param=error.param, code=status)
    return VllmError(error=detail).model_dump()
