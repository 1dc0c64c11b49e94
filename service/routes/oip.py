"""Clients of inference platforms: the Open Inference Protocol, version 2 (KServe, Triton)."""

from typing import Literal

from fastapi import APIRouter, Depends, Request, Response

from service.errors import UnknownModel
from service.model import Model
from service.record import server_timing
from service.routes import dialect
from service.routes.dialect import Dialect, raw_scores, refuse_other_model
from service.routes.oip_metadata import (
    IndexEntry,
    Live,
    ModelConfig,
    ModelMetadata,
    ModelReady,
    Ready,
    ServerMetadata,
    versions_of,
)
from service.routes.oip_shapes import InferAnswer, InferBody, OipError, RewardTensor, oip_error
from service.routes.oip_tensors import HEADER_LENGTH, TensorRoute, pack_floats
from service.routes.openai_shape import errors_as
from service.routes.seams import ServiceOf

router = APIRouter(
    route_class=TensorRoute, tags=["open inference protocol"], responses=errors_as(OipError)
)


async def _right_model(model: str, service: ServiceOf) -> None:
    refuse_other_model(model, service)


async def _right_version(version: str, service: ServiceOf) -> None:
    known = versions_of(service.model)
    if version not in known:
        raise UnknownModel(f"the version served here is {known[0]!r}: name it, or none")


# The name of a model may have slashes in it, so longer paths must be found first: decorators
# add their routes from the lowest up.
_MODEL = "/v2/models/{model:path}"
_VERSION = _MODEL + "/versions/{version}"
_RIGHT_MODEL = [Depends(_right_model)]
_RIGHT_VERSION = [*_RIGHT_MODEL, Depends(_right_version)]


@router.get("/v2", summary="What server is this?")
async def server_metadata(request: Request) -> ServerMetadata:
    return ServerMetadata(version=request.app.version)


@router.get("/v2/health/live", summary="Is the process alive?")
async def live() -> Live:
    return Live()


@router.get(
    "/v2/health/ready",
    responses={503: {"model": Ready, "description": "Not now."}},
    summary="Would a request be scored now?",
)
async def ready(response: Response, service: ServiceOf) -> Ready:
    response.status_code = 503 if service.unready else 200
    return Ready(ready=service.unready is None)


@router.post("/v2/repository/index", summary="What is served, as Triton says it")
async def index(service: ServiceOf) -> list[IndexEntry]:
    reason = service.unready
    state: Literal["READY", "LOADING"] = "LOADING" if reason else "READY"
    return [IndexEntry(name=service.model.name, state=state, reason=reason or "")]


@router.get(
    _MODEL + "/ready",
    dependencies=_RIGHT_MODEL,
    responses={503: {"model": ModelReady | OipError, "description": "Not now, or not loaded yet."}},
    summary="Would the model score now?",
)
@router.get(_VERSION + "/ready", dependencies=_RIGHT_VERSION, include_in_schema=False)
async def model_ready(response: Response, service: ServiceOf) -> ModelReady:
    response.status_code = 503 if service.unready else 200
    return ModelReady(name=service.model.name, ready=service.unready is None)


@router.get(_MODEL + "/config", dependencies=_RIGHT_MODEL, summary="Triton's model configuration")
@router.get(_VERSION + "/config", dependencies=_RIGHT_VERSION, include_in_schema=False)
async def model_config(service: ServiceOf) -> ModelConfig:
    return ModelConfig(name=service.model.name, max_batch_size=service.settings.max_candidates)


@router.get(_MODEL, dependencies=_RIGHT_MODEL, summary="What tensors the model takes and gives")
@router.get(_VERSION, dependencies=_RIGHT_VERSION, include_in_schema=False)
async def model_metadata(service: ServiceOf) -> ModelMetadata:
    model = service.model
    return ModelMetadata(name=model.name, versions=[model.release.version])


@router.post(
    _MODEL + "/infer",
    dependencies=_RIGHT_MODEL,
    response_model=InferAnswer,
    summary="Score texts",
)
@router.post(
    _VERSION + "/infer",
    dependencies=_RIGHT_VERSION,
    response_model=InferAnswer,
    include_in_schema=False,
)
async def infer(body: InferBody, request: Request, service: ServiceOf) -> Response:
    """Score `response` as the answer to `prompt`, or `sentences` that are rendered already.

    Input and output may be in Triton's binary form. `rewards` are raw scores.
    """
    scored = await dialect.score(request, service, body.to_ask(), param="inputs")
    response = _answer(body, service.model, raw_scores(scored))
    response.headers["Server-Timing"] = server_timing(scored.timings)
    return response


def _answer(body: InferBody, model: Model, rewards: list[float]) -> Response:
    packed = pack_floats(rewards) if body.wants_binary else None
    rewards_tensor = RewardTensor(
        shape=body.shape,
        parameters=None if packed is None else {"binary_data_size": len(packed)},
        data=rewards if packed is None else None,
    )
    answer = InferAnswer(
        model_name=model.name,
        model_version=model.release.version,
        id=body.id,
        outputs=[rewards_tensor],
    )
    head = answer.model_dump_json(exclude_none=True).encode()
    if packed is None:
        return Response(head, media_type="application/json")
    headers = {HEADER_LENGTH: str(len(head))}
    return Response(head + packed, headers=headers, media_type="application/octet-stream")


DIALECT = Dialect(router, oip_error)
