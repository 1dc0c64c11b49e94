"""Errors as FastAPI's own servers send them: what OpenRLHF's and LLaMA-Factory's are."""

from pydantic import BaseModel

from service.errors import ServiceError
from service.routes.shared.openai_shape import documented


class Detail(BaseModel):
    detail: str


ERRORS = documented(Detail)


def detail_error(error: ServiceError, status: int) -> object:  # noqa: ARG001 - the status says it
    return Detail(detail=error.message).model_dump()
