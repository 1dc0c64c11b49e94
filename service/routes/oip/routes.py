"""Clients of inference platforms: the Open Inference Protocol, version 2 (KServe, Triton)."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request, Response

from service.errors import NotReady, UnknownModel
from service.models.loaded_model import LoadedModel
from service.routes.oip.metadata import (
    ONLY_VERSION,
    IndexEntry,
    Live,
    ModelConfig,
    ModelMetadata,
    ModelReady,
    Ready,
    ServerMetadata,
    TensorConfig,
    TensorMetadata,
)
from service.routes.oip.shapes import InferRequest, InferResponse, OipError, RewardTensor, oip_error
from service.routes.oip.tensors import HEADER_LENGTH, TensorRoute, pack_floats
from service.routes.shared import scoring
from service.routes.shared.criteria import vector
from service.routes.shared.dialect import Dialect
from service.routes.shared.error_shapes import documented
from service.routes.shared.routing import ServiceOf, probe

router = APIRouter(
    route_class=TensorRoute, tags=["open inference protocol"], responses=documented(OipError)
)


async def _served(request: Request, service: ServiceOf) -> LoadedModel:
    """Return the model that the path names, and perhaps a version of it."""
    if service.catalogue.default is None:
        raise NotReady(str(service.unready), retry_after=1)
    name, version = request.path_params["model"], request.path_params.get("version")
    if version is None:
        return service.catalogue.find(name)
    # A release may have the version "1" itself, so exact versions are tried first. `find` would
    # also take name and version together for the name of another model.
    if exact := service.catalogue.get(f"{name}@{version}"):
        return exact
    return service.catalogue.find(name if version == ONLY_VERSION else f"{name}@{version}")


async def _probed(request: Request, service: ServiceOf) -> LoadedModel:
    """Return the same for a probe, which anybody may send, so that it lists no model by name."""
    try:
        return await _served(request, service)
    except UnknownModel:
        raise UnknownModel("no model of this name and version is served here") from None


ServedOf = Annotated[LoadedModel, Depends(_served)]
ProbedOf = Annotated[LoadedModel, Depends(_probed)]


# The name of a model may have slashes in it, so longer paths must be found first. Of several
# decorators the lowest adds its route first.
_MODEL = "/v2/models/{model:path}"
_VERSION = _MODEL + "/versions/{version}"


@router.get("/v2", summary="What server is this?")
async def server_metadata(request: Request) -> ServerMetadata:
    return ServerMetadata(version=request.app.version)


@router.get("/v2/health/live", summary="Is the process alive?")
@probe
async def live() -> Live:
    return Live()


@router.get(
    "/v2/health/ready",
    responses={503: {"model": Ready, "description": "Not now."}},
    summary="Would a request be scored now?",
)
@probe
async def ready(response: Response, service: ServiceOf) -> Ready:
    response.status_code = 503 if service.unready else 200
    return Ready(ready=service.unready is None)


@router.post("/v2/repository/index", summary="What is served, as Triton says it")
async def index(service: ServiceOf) -> list[IndexEntry]:
    reason = service.unready
    state: Literal["READY", "LOADING"] = "LOADING" if reason else "READY"
    if service.catalogue.default is None:
        raise NotReady(str(reason), retry_after=1)
    return [
        IndexEntry(name=served.model.name, state=state, reason=reason or "")
        for served in service.catalogue
    ]


@router.get(
    _MODEL + "/ready",
    responses={503: {"model": ModelReady | OipError, "description": "Not now, or not loaded yet."}},
    summary="Would the model score now?",
)
@router.get(_VERSION + "/ready", include_in_schema=False)
@probe
async def model_ready(response: Response, service: ServiceOf, served: ProbedOf) -> ModelReady:
    response.status_code = 503 if service.unready else 200
    return ModelReady(name=served.model.name, ready=service.unready is None)


@router.get(_MODEL + "/config", summary="Triton's model configuration")
@router.get(_VERSION + "/config", include_in_schema=False)
async def model_config(service: ServiceOf, served: ServedOf) -> ModelConfig:
    config = ModelConfig(name=served.model.name, max_batch_size=service.settings.max_candidates)
    if served.model.criteria.names:
        config.output.append(TensorConfig(name="parts", data_type="TYPE_FP32", dims=[-1]))
    return config


@router.get(_MODEL, summary="What tensors the model takes and gives")
@router.get(_VERSION, include_in_schema=False)
async def model_metadata(service: ServiceOf, served: ServedOf) -> ModelMetadata:
    # All loaded versions of the name are listed, whichever one the path asked for.
    name = served.model.name
    loaded = [one.model for one in service.catalogue if one.model.name == name]
    metadata = ModelMetadata(name=name, versions=[model.release.version for model in loaded])
    if served.model.criteria.names:
        metadata.outputs.append(TensorMetadata(name="parts", datatype="FP32", shape=[-1, -1]))
    return metadata


@router.post(_MODEL + "/infer", response_model=InferResponse, summary="Score texts")
@router.post(_VERSION + "/infer", response_model=InferResponse, include_in_schema=False)
async def infer(
    body: InferRequest, request: Request, service: ServiceOf, served: ServedOf
) -> Response:
    """Score `response` as the answer to `prompt`, or `sentences` that are rendered already.

    Input and output may be in Triton's binary form. `rewards` are raw scores, or weighted sums of
    `parts` where criteria are asked for.
    """
    asked = body.to_scoring_request()
    result = await scoring.score(request, service, asked, param="inputs", model=served.key)
    rewards, tensors, packed = scoring.raw_scores(result), list[RewardTensor](), b""
    for name, binary in body.wanted:
        values, shape, parameters = rewards, body.shape, dict[str, int | str]()
        if name == "parts":
            rows = [vector(item, body.criteria) for item in result.items()]
            values, shape = [score for row in rows for score in row], [len(rows), len(rows[0])]
            parameters["names"] = ",".join(result.items()[0].parts)
        if binary:
            packed += (column := pack_floats(values))
            parameters["binary_data_size"] = len(column)
        data = None if binary else values
        tensors.append(
            RewardTensor(name=name, shape=shape, parameters=parameters or None, data=data)
        )
    answer = InferResponse(
        model_name=result.model, model_version=result.version, id=body.id, outputs=tensors
    )
    head = answer.model_dump_json(exclude_none=True).encode()
    if not packed:
        return Response(head, media_type="application/json")
    headers = {HEADER_LENGTH: str(len(head))}
    return Response(head + packed, headers=headers, media_type="application/octet-stream")


DIALECT = Dialect(router, oip_error)
